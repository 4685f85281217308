#!/bin/sh
# How long Prometheus waits for /metrics: a running server with SERIES sets of labels (default 1,000, which is also the most that it keeps), and
# prom-client with the same families beside it.
#
#   ninja -C build && bench/metrics/run.sh      VITRINE=path/to/vitrine SERIES=100 RUNS=50 bench/metrics/run.sh
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
e2e="$here/../../tests/e2e"
[ -d "$e2e/node_modules/prom-client" ] || (cd "$e2e" && npm ci --ignore-scripts --loglevel=error)
exec node "$here/measure.mjs"
