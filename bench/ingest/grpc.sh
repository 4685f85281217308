#!/bin/sh
# gRPC beside HTTP: the same OTLP body of 128 LLM spans, to durable, at 1, 8 and 64 connections, by h2load (Debian: nghttp2-client).
# bench/ingest/grpc.sh [BUILD_DIR] [SECONDS]   (a build directory set up with -Dbench=true -Dbuildtype=release)
# Each request repeats the body, so its spans are stored once in the end: this measures the way in (decode, normalise, WAL, sync), which takes every one.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
build=${1:-$here/../../build-bench}
seconds=${2:-5}
spans=128
command -v h2load >/dev/null || { echo "grpc.sh: h2load is needed (apt-get install nghttp2-client)" >&2; exit 1; }
[ -d "$build" ] || meson setup "$build" -Dbench=true -Dbuildtype=release >/dev/null
ninja -C "$build" bench/ingest/bench_ingest src/cli/vitrine >/dev/null
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM
"$build/bench/ingest/bench_ingest" body "$spans" "$work/http.body"
# gRPC's frame: a byte that says "not packed", the length in four, the message.
python3 - "$work/http.body" "$work/grpc.body" <<'PY'
import struct, sys
body = open(sys.argv[1], "rb").read()
open(sys.argv[2], "wb").write(b"\0" + struct.pack(">I", len(body)) + body)
PY
echo "machine: $(grep -c ^processor /proc/cpuinfo) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg)"
echo "data: $spans LLM spans a request, $(wc -c <"$work/http.body") bytes; $seconds s each; clients and server share the cores"
printf '%-6s %12s %14s %12s %12s\n' way connections 'spans a second' 'p50 ms' 'p99 ms'
for connections in 1 8 64; do
    for way in http grpc; do
        "$build/src/cli/vitrine" serve --listen 127.0.0.1:0 --grpc 127.0.0.1:0 --data "$work/$way-$connections" >"$work/log" 2>&1 &
        server=$!
        while ! grep -qs ready "$work/log"; do sleep 0.1; done
        http=$(sed -n 's/.*listening on http:..\(127.0.0.1:[0-9]*\).*/\1/p' "$work/log")
        grpc=$(sed -n 's/.*listening on grpc:..\(127.0.0.1:[0-9]*\).*/\1/p' "$work/log")
        if [ $way = http ]; then
            set -- --h1 -d "$work/http.body" -H 'content-type: application/x-protobuf' "http://$http/v1/traces"
        else
            set -- -d "$work/grpc.body" -H 'content-type: application/grpc' -H 'te: trailers' "http://$grpc/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        fi
        h2load -D "$seconds" -c "$connections" -t 1 -m 1 --log-file="$work/times" "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
        # Columns of the log: when it began (µs), status, how long it took (µs).
        awk -v s="$seconds" -v n="$spans" '$2 == 200 {ok++} {print $3}  END {print ok * n / s > "/dev/stderr"}' "$work/times" 2>"$work/rate" | sort -n >"$work/sorted"
        total=$(wc -l <"$work/sorted")
        p50=$(sed -n "$((total / 2 + 1))p" "$work/sorted") p99=$(sed -n "$((total * 99 / 100 + 1))p" "$work/sorted")
        awk -v w=$way -v c="$connections" -v r="$(cat "$work/rate")" -v a="$p50" -v b="$p99" 'BEGIN {printf "%-6s %12d %14d %12.2f %12.2f\n", w, c, r, a / 1000, b / 1000}'
        : >"$work/times"
        kill "$server"
        wait "$server" || true
        server=
    done
done
