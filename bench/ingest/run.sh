#!/bin/sh
# What taking in a span costs: the store alone, beside SQLite and DuckDB with the same rows; and HTTP to durable with the real server.
# bench/ingest/run.sh [BUILD_DIR] [SPANS]   (a build directory set up with -Dbench=true -Dbuildtype=release)
# CPU per span tells more than spans a second on a machine that does other work, too.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
build=${1:-$here/../../build-bench}
spans=${2:-500000}
[ -d "$build" ] || meson setup "$build" -Dbench=true -Dbuildtype=release >/dev/null
ninja -C "$build" bench/ingest/bench_store bench/ingest/bench_ingest src/cli/vitrine >/dev/null
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM

echo "machine: $(grep -c ^processor /proc/cpuinfo) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg)"
echo "data: spans of LLM calls, 1.28 KB each on the wire, four a trace, no span twice"
echo
"$build/bench/ingest/bench_store" write "$work/store" "$spans"
"$build/bench/ingest/bench_store" read "$work/store"
"$build/bench/ingest/bench_store" sqlite "$work/sqlite.db" "$((spans / 5))"
if [ -d "$here/../../tests/e2e/node_modules/@duckdb" ]; then
    node "$here/duckdb.mjs" "$work/store" "$work/duck.db"
else
    echo "DuckDB was not measured: npm ci in tests/e2e installs it"
fi
rm -rf "$work"/*

echo
echo "HTTP to durable (OTLP protobuf, keep-alive), median of three by spans a second:"
for connections in 1 8 64; do
    for round in 1 2 3; do
        rm -f "$work/log"
        "$build/src/cli/vitrine" serve --listen 127.0.0.1:0 --grpc "" --data "$work/$connections-$round" >"$work/log" 2>&1 &
        server=$!
        while ! grep -qs ready "$work/log"; do sleep 0.1; done
        port=$(sed -n 's/.*listening on http:..127.0.0.1:\([0-9]*\).*/\1/p' "$work/log")
        "$build/bench/ingest/bench_ingest" 127.0.0.1 "$port" "$connections" 5 128 "$server" || true # the server is stopped in any case
        kill "$server"
        wait "$server" || true
        server=
        rm -rf "$work/$connections-$round"
    done | sort -t: -k2 -n | sed -n 2p
done
