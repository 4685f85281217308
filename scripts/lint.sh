#!/bin/sh
# What a reader would object to: format, one-way includes, unused or dangerous code. scripts/lint.sh [BUILD_DIR with compile_commands.json]
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"
build=${1:-build}
status=0

sources=$(git ls-files '*.c' '*.h')
if ! printf '%s\n' "$sources" | xargs clang-format --dry-run -Werror >"$build/format.log" 2>&1; then
    grep -c 'error:' "$build/format.log" | sed 's/$/ places are not formatted; mend with: git ls-files "*.c" "*.h" | xargs clang-format -i/' >&2
    grep 'error:' "$build/format.log" | head -n 5 >&2
    status=1
fi

sh scripts/includes.sh || status=1

# Headers of the libraries are not read: what is asked is about our own code.
if ! cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c -j "$(nproc)" --enable=warning,performance,portability \
    --suppress=missingIncludeSystem --suppressions-list=scripts/cppcheck.txt -Iinclude -Isrc -D_GNU_SOURCE -DVITRINE_VERSION='"0"' src examples >"$build/cppcheck.log" 2>&1; then
    head -n 40 "$build/cppcheck.log" >&2
    status=1
fi

if ! git ls-files 'src/*.c' 'examples/*.c' | xargs -n 8 -P "$(nproc)" clang-tidy --quiet -p "$build" >"$build/tidy.log" 2>/dev/null; then
    grep -E 'warning:|error:' "$build/tidy.log" | sort | uniq | head -n 40 >&2
    status=1
fi
exit $status
