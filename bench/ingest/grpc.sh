#!/bin/sh
# gRPC and HTTP to durable, beside an OpenTelemetry Collector that receives the same and throws it away: OTLP requests of 128 LLM spans at
# 1, 8 and 64 connections, one request at a time on each; no span is sent twice.
#
#   bench/ingest/grpc.sh [--collector PROGRAM] [BUILD_DIR] [SECONDS]     (a build directory set up with -Dbench=true -Dbuildtype=release)
#
# Any build of the Collector that has the otlp receiver and the nop exporter will do. A small one is made of its published modules by Go 1.25
# or later:  cp -r bench/ingest/otelcol /tmp/otelcol-src && cd /tmp/otelcol-src && go mod tidy && go build -o /tmp/otelcol .
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
collector=
if [ "${1:-}" = --collector ]; then
    [ -x "${2:-}" ] || { echo "grpc.sh: --collector wants a program, and '${2:-}' is none" >&2; exit 2; }
    collector=$2
    shift 2
fi
build=${1:-$here/../../build-bench}
seconds=${2:-5}
spans=128
[ -d "$build" ] || meson setup "$build" -Dbench=true -Dbuildtype=release >/dev/null
ninja -C "$build" bench/ingest/bench_ingest bench/ingest/bench_grpc src/cli/vitrine >/dev/null
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Both set $server, $http and $grpc (ports).
start_vitrine() {
    "$build/src/cli/vitrine" serve --listen 127.0.0.1:0 --grpc 127.0.0.1:0 --data "$work/data" >"$work/log" 2>&1 &
    server=$!
    while ! grep -qs ready "$work/log"; do sleep 0.1; done
    http=$(sed -n 's/.*listening on http:..127.0.0.1:\([0-9]*\).*/\1/p' "$work/log")
    grpc=$(sed -n 's/.*listening on grpc:..127.0.0.1:\([0-9]*\).*/\1/p' "$work/log")
}
start_collector() {
    http=$(free_port) grpc=$(free_port)
    cat >"$work/collector.yaml" <<YAML
receivers:
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:$http"}
      grpc: {endpoint: "127.0.0.1:$grpc"}
exporters: {nop: {}}
service:
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}
YAML
    "$collector" --config "$work/collector.yaml" >"$work/log" 2>&1 &
    server=$!
    until python3 -c "import socket; [socket.create_connection(('127.0.0.1', port)) for port in ($http, $grpc)]" 2>/dev/null; do
        kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
        sleep 0.1
    done
}

echo "machine: $(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg)"
echo "data: $spans LLM spans a request, $seconds s each; load generator and server share the cores"
[ -n "$collector" ] || echo "the Collector was not measured: --collector names one (see the first lines of grpc.sh)"
for name in vitrine ${collector:+collector}; do
    for way in http grpc; do
        for connections in 1 8 64; do
            "start_$name"
            if [ $way = http ]; then load=bench_ingest port=$http; else load=bench_grpc port=$grpc; fi
            printf '%-10s %-5s' $name $way
            "$build/bench/ingest/$load" 127.0.0.1 "$port" "$connections" "$seconds" "$spans" "$server" || true # the server is stopped in any case
            kill "$server"
            wait "$server" 2>/dev/null || true
            server=
            rm -rf "$work/data"
        done
    done
done
