#!/bin/sh
# What tracing costs in C, beside the storefront's own way in Node.
# bench/sdk/run.sh [BUILD_DIR]   (a build directory set up with -Dbench=true -Dbuildtype=release)
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
build=${1:-$here/../../build-bench}
[ -x "$build/bench/sdk/bench_sdk" ] || {
    [ -d "$build" ] || meson setup "$build" -Dbench=true -Dbuildtype=release -Dprogram=false >/dev/null
    ninja -C "$build" bench/sdk/bench_sdk >/dev/null
}
echo "clock: the time-stamp counter where it is invariant"
"$build/bench/sdk/bench_sdk"
echo
echo "clock: clock_gettime (VITRINE_CLOCK=system)"
VITRINE_CLOCK=system "$build/bench/sdk/bench_sdk"
echo
if command -v node >/dev/null; then
    echo "Node $(node --version), object and JSON.stringify to a buffer: $(node "$here/storefront.mjs") ns per finished span"
else
    echo "Node is not installed: the storefront's own way was not measured"
fi
