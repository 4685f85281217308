#!/bin/sh
# What it costs to read spans: our decoders beside protobuf-c, jansson, yyjson (where it is installed) and zlib.
# bench/decode/run.sh [BUILD_DIR]   (a build directory set up with -Dbench=true -Dbuildtype=release)
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
build=${1:-$here/../../build-bench}
[ -f "$build/build.ninja" ] || meson setup "$build" "$here/../.." -Dbench=true -Dbuildtype=release -Dui=disabled >/dev/null
ninja -C "$build" bench/decode/bench_decode >/dev/null
echo "machine: $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1), $(nproc) cores, $(uname -sr); $(cc --version | head -1)"
"$build/bench/decode/bench_decode"
