#!/bin/sh
# What evaluating a monitor costs over SPANS spans (default 10,000,000) of one day: fills DIR (default a directory below $TMPDIR) unless it is there.
# bench/alert/run.sh [DIR] [BUILD_DIR]   (a build directory set up with -Dbench=true -Dbuildtype=release)
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
dir=${1:-${TMPDIR:-/tmp}/vitrine-bench-alert}
build=${2:-$here/../../build-bench}
[ -d "$build" ] || meson setup "$build" -Dbench=true -Dbuildtype=release >/dev/null
ninja -C "$build" bench/alert/bench_alert bench/query/bench_query >/dev/null
[ -e "$dir/catalog.sqlite" ] || "$build/bench/query/bench_query" fill "$dir" "${SPANS:-10000000}"
echo "machine: $(grep -c ^processor /proc/cpuinfo) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg)"
"$build/bench/alert/bench_alert" "$dir" "${REPEAT:-20}"
