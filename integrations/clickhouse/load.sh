#!/bin/sh
# Loads what Vitrine holds into ClickHouse (schema.sql first), by CSV, which every version reads:
#
#   integrations/clickhouse/load.sh [options and filter of `vitrine export`]      e.g. --from -1h, --url http://vitrine:4318, --data DIR
#
# CLICKHOUSE says how to reach the server: CLICKHOUSE='clickhouse-client --host db --user u'. VITRINE names the program. A span that is
# loaded again is kept once, so let time ranges overlap: --from -2h every hour. Scores go with --scores, then with options of `vitrine sql` alone.
set -eu
clickhouse=${CLICKHOUSE:-clickhouse-client}
vitrine=${VITRINE:-vitrine}
if [ "${1:-}" = --scores ]; then
    shift
    "$vitrine" sql --csv --limit 100000 "$@" "SELECT score_id, trace_id, span_id, name, value, comment, user_id, time_ms FROM scores" |
        $clickhouse --query "INSERT INTO vitrine.scores (score_id, trace_id, span_id, name, value, comment, user_id, time_ms) FORMAT CSVWithNames"
else
    "$vitrine" export --format csv "$@" | $clickhouse --query "INSERT INTO vitrine.spans_csv FORMAT CSVWithNames"
fi
