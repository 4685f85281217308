#!/bin/sh
# The whole test suite, from a bare Debian 12: installs what is missing, builds, runs every stage, ends with the totals.
# scripts/test.sh [STAGE…]      stages: unit lint asan tsan fuzz e2e (all, in that order, when none is named)
set -eu
. "$(dirname -- "$0")/lib.sh"

STAGES='unit lint asan tsan fuzz e2e'
FUZZ_SECONDS=${FUZZ_SECONDS:-8} # for each target
for stage in "$@"; do
    case " $STAGES " in *" $stage "*) ;; *) die "no stage is called '$stage'; stages: $STAGES" ;; esac
done
[ $# -gt 0 ] || set -- $STAGES

need_packages $BUILD_PACKAGES $PAGE_PACKAGES $TEST_PACKAGES
need_node

logs=$root/build-test
mkdir -p "$logs"
passed=0 failed=0 skipped=0 broken=''

# count PASSED FAILED SKIPPED: adds to the totals.
count() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

# Runs the tests of a meson build and counts the single tests of each cmocka program; one that crashed counts as one failure.
meson_tests() {
    dir=$1
    shift
    status=0
    meson test -C "$dir" --print-errorlogs --timeout-multiplier 20 "$@" >"$dir/test.log" 2>&1 || status=$?
    ok=$(sed -nE 's/^\[ +PASSED +\] ([0-9]+) test.*/\1/p' "$dir/meson-logs/testlog.txt" | awk '{n += $1} END {print n + 0}')
    bad=$(sed -nE 's/^\[ +FAILED +\] ([0-9]+) test.*/\1/p' "$dir/meson-logs/testlog.txt" | awk '{n += $1} END {print n + 0}')
    left=$(sed -nE 's/^\[ +SKIPPED +\] ([0-9]+) test.*/\1/p' "$dir/meson-logs/testlog.txt" | awk '{n += $1} END {print n + 0}')
    if [ $status -ne 0 ]; then
        tail -n 60 "$dir/test.log" >&2
        [ "$bad" -gt 0 ] || bad=1
    fi
    count "$ok" "$bad" "$left"
    [ $status -eq 0 ]
}

stage_unit() {
    configure "$logs/unit" --werror -Dbuildtype=debugoptimized
    compile "$logs/unit" || return 1
    meson_tests "$logs/unit"
}

stage_lint() { sh "$root/scripts/lint.sh" "$logs/unit"; }

stage_asan() {
    CC=clang configure "$logs/asan" --werror -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized -Dui=disabled
    compile "$logs/asan" || return 1
    ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 meson_tests "$logs/asan" --suite unit
}

stage_tsan() {
    configure "$logs/tsan" --werror -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debugoptimized -Dui=disabled
    compile "$logs/tsan" || return 1
    TSAN_OPTIONS=halt_on_error=1:suppressions=$root/tests/tsan.supp meson_tests "$logs/tsan" --suite unit
}

stage_fuzz() {
    CC=clang configure "$logs/fuzz" -Dfuzz=true -Dui=disabled -Dbuildtype=debugoptimized -Db_lundef=false
    compile "$logs/fuzz" || return 1
    sh "$root/tests/fuzz/run.sh" "$FUZZ_SECONDS" "$logs/fuzz"
}

# install_clients DIR: npm packages by the lock file, unless they are there already.
install_clients() {
    [ -f "$1/node_modules/.package-lock.json" ] && [ ! "$1/package-lock.json" -nt "$1/node_modules/.package-lock.json" ] && return 0
    (cd "$1" && npm ci --silent) >&2 || die "npm could not install the test clients of $1"
}

stage_e2e() {
    configure "$logs/release" -Dbuildtype=release # what the optimiser guesses is no error: other stages are strict
    compile "$logs/release" || return 1
    install_clients "$root/tests/e2e"
    install_clients "$root/tests/clients"
    status=0
    VITRINE=$logs/release/src/cli/vitrine node --test --test-timeout=1200000 --test-concurrency=2 --test-reporter=tap "$root"/tests/e2e/*.test.mjs "$root"/tests/clients/*.test.mjs \
        >"$logs/e2e.log" 2>&1 || status=$?
    [ $status -eq 0 ] || grep -A25 -E '^ *not ok ' "$logs/e2e.log" | head -n 150 >&2
    count $(awk '/^# pass /{p = $3} /^# fail /{f = $3} /^# (skipped|todo) /{s += $3} END {print p + 0, f + 0, s + 0}' "$logs/e2e.log")
    return $status
}

began=$(date +%s)
for stage in "$@"; do
    at=$(date +%s) before_failed=$failed before_passed=$passed
    say "$stage"
    if "stage_$stage"; then word=ok; else
        word=FAILED broken="$broken $stage"
        [ "$failed" -gt "$before_failed" ] || count 0 1 0 # a stage without single tests is one
    fi
    [ "$word" != ok ] || [ "$passed" -gt "$before_passed" ] || count 1 0 0
    printf '    %-8s %-6s %4d s\n' "$stage" "$word" $(($(date +%s) - at)) >&2
done
say "took $(($(date +%s) - began)) s${broken:+; failed:$broken}"
echo "$passed passed, $failed failed, $skipped skipped"
[ -z "$broken" ]
