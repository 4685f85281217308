#!/bin/sh
# One way of a span through the code: a folder of src/ includes only headers of folders before it (CONTRIBUTING.md, "The way of a span").
set -eu
cd "$(dirname -- "$0")/.."
git ls-files 'src/*.c' 'src/*.h' | xargs grep -nE '^#include "(base|sdk|span|ingest|store|query|alert|metrics|forward|proxy|serve|cli)/' | awk '
BEGIN {
    rank["base"] = 1; rank["span"] = 2; rank["ingest"] = rank["store"] = 3; rank["query"] = 4
    rank["alert"] = rank["metrics"] = rank["forward"] = rank["proxy"] = 5; rank["serve"] = 6; rank["cli"] = 7; rank["sdk"] = 8
}
{
    split($0, at, "/"); from = at[2]
    match($0, /"[a-z]+\//); to = substr($0, RSTART + 1, RLENGTH - 2)
    if (from == to || (from == "sdk" && to == "base")) next
    if (from == "sdk" || to == "sdk" || rank[to] >= rank[from]) { print "runs against the way of a span: " $0; bad = 1 }
}
END { exit bad }' >&2
