#!/bin/sh
# How fast the page is, against a store of SPANS spans (default 1,000,000): prints a table with the goals beside.
#
#   ninja -C build && bench/page/run.sh          VITRINE=path/to/vitrine SPANS=100000 RUNS=3 bench/page/run.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
e2e="$here/../../tests/e2e"
[ -d "$e2e/node_modules/playwright-core" ] || (cd "$e2e" && npm ci --ignore-scripts --loglevel=error)
exec node --max-old-space-size=3000 "$here/measure.mjs"
