#!/bin/sh
# What masking costs: by rule, at ingest and in the library, beside PCRE2 (JIT) with one pattern a rule on the same texts.
# bench/mask/run.sh [BUILD_DIR]   (a build directory set up with -Dbench=true -Dbuildtype=release)
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
build=${1:-$here/../../build-bench}
[ -f "$build/build.ninja" ] || meson setup "$build" "$here/../.." -Dbench=true -Dbuildtype=release -Dui=disabled >/dev/null
ninja -C "$build" bench/mask/bench_mask >/dev/null
echo "machine: $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1), $(nproc) cores, $(uname -sr); $(cc --version | head -1)"
"$build/bench/mask/bench_mask"
