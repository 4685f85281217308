#!/bin/sh
# Creates the log pipeline, the dashboard and the three monitors in Datadog, and says where each is; takes them away again.
# Usage: DD_API_KEY=… DD_APP_KEY=… [DD_SITE=datadoghq.eu] push.sh [FILE of a dashboard, else dashboard.json]
#        … push.sh --delete PATH…       the paths that it said
# Needs curl and jq. DD_API_URL names another address than https://api.$DD_SITE.
set -eu
: "${DD_API_KEY:?is needed}" "${DD_APP_KEY:?is needed}"
api=${DD_API_URL:-https://api.${DD_SITE:-datadoghq.com}}
here=$(dirname -- "$0")
for tool in curl jq; do
    command -v "$tool" >/dev/null || { echo "push.sh: $tool is not installed" >&2; exit 1; }
done

# ask METHOD PATH [BODY]: keys go by a pipe, so that no list of processes shows them.
ask() {
    printf 'header = "DD-API-KEY: %s"\nheader = "DD-APPLICATION-KEY: %s"\n' "$DD_API_KEY" "$DD_APP_KEY" |
        curl -sS --fail-with-body -K - -X "$1" -H 'content-type: application/json' ${3+--data-binary "$3"} "$api/$2"
}

if [ "${1-}" = --delete ]; then
    shift
    for path in "$@"; do
        ask DELETE "$path" >/dev/null && echo "deleted $path"
    done
    exit
fi

# create PATH BODY: "PATH/ID name"
create() {
    answer=$(ask POST "$1" "$2") || { echo "push.sh: $1: $answer" >&2; exit 1; }
    printf '%s/%s  %s\n' "$1" "$(printf '%s' "$answer" | jq -r .id)" "$(printf '%s' "$2" | jq -r '.title // .name')"
}

create api/v1/logs/config/pipelines "$(cat "$here/log-pipeline.json")"
create api/v1/dashboard "$(cat "${1-$here/dashboard.json}")"
jq -c '.[]' "$here/monitors.json" | while read -r monitor; do create api/v1/monitor "$monitor"; done
