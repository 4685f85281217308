#!/bin/sh
# How long Prometheus waits for /metrics: a running server with SERIES sets of labels (default 1,000, which is also the most that it keeps).
#
#   ninja -C build && bench/metrics/run.sh      VITRINE=path/to/vitrine SERIES=100 RUNS=50 bench/metrics/run.sh
set -eu
exec node "$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)/measure.mjs"
