#!/bin/sh
# Loads trace log lines (as libvitrine writes them, one JSON object a line) into BigQuery.
# Usage: load.sh DATASET FILE...
set -eu
[ $# -ge 2 ] || { echo "usage: load.sh DATASET FILE..." >&2; exit 2; }
command -v bq >/dev/null || { echo "load.sh: bq is not installed; it is part of the Google Cloud command line" >&2; exit 1; }
dataset=$1; shift
here=$(dirname "$0")
for file in "$@"; do
  bq load --source_format=NEWLINE_DELIMITED_JSON --ignore_unknown_values "$dataset.ai_storefront_traces" "$file" "$here/schema.json"
done
