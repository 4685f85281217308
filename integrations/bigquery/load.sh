#!/bin/sh
# Loads into BigQuery: trace log lines as libvitrine writes them (table ai_storefront_traces), or with --spans what
# `vitrine export --format ndjson` writes (table spans). Tables are made when missing, by day.
# Usage: load.sh [--spans] DATASET FILE…       Needs bq (of the Google Cloud command line) and jq.
set -eu
table=ai_storefront_traces schema=schema.json day=timestamp
# $.llm.vendor means {"llm":{"vendor":…}} to BigQuery: attributes get that form beside their own, {"llm.vendor":…}.
nested='reduce (to_entries[] | select(.key | contains("."))) as $one ({}; . as $so_far | try setpath($one.key / "."; $one.value) catch $so_far)'
rows="if .attributes then .attributes |= (($nested) + .) else . end"
if [ "${1-}" = --spans ]; then
    shift
    table=spans schema=schema-spans.json day=start rows=.
fi
[ $# -ge 2 ] || { echo "usage: load.sh [--spans] DATASET FILE..." >&2; exit 2; }
for tool in bq jq; do
    command -v "$tool" >/dev/null || { echo "load.sh: $tool is not installed" >&2; exit 1; }
done
dataset=$1; shift
here=$(dirname -- "$0")
ready=$(mktemp)
trap 'rm -f "$ready"' EXIT
for file in "$@"; do
    jq -c "$rows" "$file" >"$ready"
    bq load --source_format=NEWLINE_DELIMITED_JSON --ignore_unknown_values --time_partitioning_field="$day" "$dataset.$table" "$ready" "$here/$schema"
done
