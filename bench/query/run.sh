#!/bin/sh
# Eleven questions to the same made-up spans: Vitrine, DuckDB, SQLite, Debian's ClickHouse 18.16, and a present-day ClickHouse (PyPI: chdb)
# from a table of its own and on our Parquet files as they lie. Fills what is not filled yet, asks, prints one table.
#
#   bench/query/run.sh [STEP …]        all steps without one, else of: fill vitrine duckdb sqlite clickhouse chdb table growth
#
# From the environment: SPANS (10000000), BUILD (build-bench; set up with -Dbench=true -Dbuildtype=release), WORK (a directory that is kept;
# 30 GB at 10 M spans), REPEAT (5), PYTHON (one that has chdb: python3 -m venv V && V/bin/pip install chdb; PYTHON=V/bin/python),
# SIZES (1000000 10000000 50000000, of growth). A peer that is not installed is left out, and said so.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$here/../..
spans=${SPANS:-10000000}
build=${BUILD:-$root/build-bench}
work=${WORK:-${TMPDIR:-/tmp}/vitrine-bench}
repeat=${REPEAT:-5}
python=${PYTHON:-python3}
ask=$build/bench/query/bench_query
steps=${*:-fill vitrine duckdb sqlite clickhouse chdb table}

have_duckdb() { [ -d "$root/tests/e2e/node_modules/@duckdb" ] || { echo "DuckDB is left out: npm ci in tests/e2e installs it" >&2; return 1; }; }
have_clickhouse() { command -v clickhouse-client >/dev/null || { echo "ClickHouse 18.16 is left out: apt-get install clickhouse-server clickhouse-client" >&2; return 1; }; }
have_chdb() { "$python" -c 'import chdb' 2>/dev/null || { echo "present-day ClickHouse is left out: pip install chdb, PYTHON=…" >&2; return 1; }; }

# once FILE COMMAND: the output becomes FILE when the command ends well, and is not made again.
once() {
    out=$1
    shift
    [ -e "$out" ] || { "$@" >"$out.part" && mv "$out.part" "$out"; }
}
fill_vitrine() {
    rm -rf "$dir/store"
    "$ask" fill "$dir/store" "$spans" | tee /dev/stderr | sed -n 's/^\([0-9]*\) spans in \([0-9.]*\) s.* \([0-9.]*\) bytes a span.*/fact spans \1\nfact fill_s \2\nfact bytes_per_span \3/p'
}
fill_sqlite() {
    rm -f "$dir/rows.sqlite"
    start=$(date +%s)
    "$ask" sqlite "$dir/rows.sqlite" "$spans" && echo "fact fill_s $(($(date +%s) - start))"
}
prepare() {
    dir=$work/$spans results=$work/$spans/results
    mkdir -p "$results"
    once "$results/fill-vitrine" fill_vitrine
}
# result NAME COMMAND: what was found while filling, then the command's lines.
result() {
    name=$1
    shift
    { cat "$results/fill-$name" 2>/dev/null || true; "$@" | tee /dev/stderr; } >"$results/$name.txt.part"
    mv "$results/$name.txt.part" "$results/$name.txt"
}
ask_vitrine() { "$ask" ask "$dir/store" "$repeat" 2>/dev/null | sed 's/^most memory held: \([0-9]*\) MiB/fact most_memory_mib \1/'; }

step() {
    prepare
    case $1 in
    fill)
        ! have_duckdb || once "$results/fill-duckdb" node "$here/peers.mjs" duckdb-fill "$dir/store" "$dir/duck.db"
        once "$results/fill-sqlite" fill_sqlite
        ! have_clickhouse || once "$results/fill-clickhouse" node "$here/peers.mjs" clickhouse-fill "$dir/clickhouse" "$ask" "$spans"
        ! have_chdb || once "$results/fill-chdb-table" "$python" "$here/chdb_peer.py" fill "$dir/store" "$dir/chdb"
        ;;
    vitrine) result vitrine ask_vitrine ;;
    duckdb)
        have_duckdb || return 0
        once "$results/fill-duckdb" node "$here/peers.mjs" duckdb-fill "$dir/store" "$dir/duck.db"
        result duckdb node "$here/peers.mjs" duckdb "$dir/store" "$dir/duck.db" "$repeat"
        ;;
    sqlite) once "$results/fill-sqlite" fill_sqlite && result sqlite node "$here/peers.mjs" sqlite "$dir/store" "$dir/rows.sqlite" "$repeat" ;;
    clickhouse) ! have_clickhouse || result clickhouse node "$here/peers.mjs" clickhouse "$dir/store" "$dir/clickhouse" "$repeat" ;;
    chdb)
        have_chdb || return 0
        result chdb-table "$python" "$here/chdb_peer.py" table "$dir/store" "$dir/chdb" "$repeat"
        result chdb-parquet "$python" "$here/chdb_peer.py" parquet "$dir/store" "$dir/chdb" "$repeat"
        ;;
    table) machine && node "$here/table.mjs" "$results" ;;
    growth)
        for spans in ${SIZES:-1000000 10000000 50000000}; do
            step vitrine
            step duckdb
            list="${list:-} $results"
        done
        machine && node "$here/table.mjs" growth $list
        ;;
    *) echo "run.sh: no step '$1'; see its first lines" >&2 && exit 2 ;;
    esac
}
machine() {
    echo "machine: $(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg)"
    echo "data: bench/query/story.c, seed 1, one day; two threads each, warm"
}

[ -d "$build" ] || meson setup "$build" -Dbench=true -Dbuildtype=release >/dev/null
ninja -C "$build" bench/query/bench_query >/dev/null
for name in $steps; do step "$name"; done
