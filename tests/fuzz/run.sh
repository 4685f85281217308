#!/bin/sh
# Runs every fuzz target for so many seconds, from its seeds, and fails when one of them finds something.
# tests/fuzz/run.sh [SECONDS=60] [BUILD_DIR=build-fuzz] [TARGET…]
# What is found stays in BUILD_DIR/found/TARGET; new inputs in BUILD_DIR/corpus/TARGET, which the next run begins with.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
seconds=${1:-60}
build=${2:-$root/build-fuzz}
[ $# -le 2 ] && set -- || shift 2
case $seconds in '' | *[!0-9]*) echo "run.sh: SECONDS must be a number, not \"$seconds\"" >&2; exit 2 ;; esac
command -v clang >/dev/null || { echo "run.sh: clang is needed for libFuzzer (apt-get install clang)" >&2; exit 1; }
if [ ! -f "$build/build.ninja" ]; then
    CC=clang meson setup "$build" "$root" -Dfuzz=true -Dui=disabled -Db_lundef=false >/dev/null
fi
names=${*:-$(cd "$here" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')}
targets=
for name in $names; do targets="$targets tests/fuzz/fuzz_$name"; done
# shellcheck disable=SC2086
ninja -C "$build" $targets >/dev/null
failed=
for name in $names; do
    mkdir -p "$build/corpus/$name" "$build/found/$name"
    seeds=
    [ -d "$here/corpus/$name" ] && seeds=$here/corpus/$name
    log=$build/found/$name.log
    # shellcheck disable=SC2086
    if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/found/$name/" "$build/corpus/$name" $seeds >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "$name: ${runs:-?} inputs, nothing found"
    else
        grep -E 'does not hold|ERROR:|runtime error|^ *#[0-9]+ .*(src/|tests/)|SUMMARY' "$log" | head -15
        echo "$name: FOUND SOMETHING, see $build/found/$name and $log"
        failed="$failed $name"
    fi
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
