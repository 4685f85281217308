#!/bin/sh
# What the proxy adds to a call: a POST of 1.8 KB to an upstream that answers at once, straight, through nginx, and through vitrine with a span of each call stored.
# bench/proxy/run.sh [BUILD_DIR] [SECONDS]   (a build directory set up with -Dbuildtype=release)
# Needs wrk, nginx and pgrep (apt-get install wrk nginx-light procps). Proxies have one thread each; wrk, proxy and upstream share the machine.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
build=${1:-$here/../../build-bench}
seconds=${2:-5}
PATH=$PATH:/usr/sbin
for tool in wrk nginx python3 pgrep; do command -v $tool >/dev/null || { echo "run.sh: $tool is needed (apt-get install wrk nginx-light python3 procps)" >&2; exit 1; }; done
[ -d "$build" ] || meson setup "$build" -Dbench=true -Dbuildtype=release >/dev/null
ninja -C "$build" src/cli/vitrine >/dev/null
work=$(mktemp -d)
pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT INT TERM

# shellcheck disable=SC2046
set -- $(python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
upstream=$1 peer=$2
common="daemon off; worker_processes 1; error_log $work/error.log crit; events { worker_connections 1024; }"
paths="access_log off; keepalive_requests 100000000; client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;"
cat >"$work/upstream.conf" <<CONF
$common pid $work/upstream.pid;
http { $paths server { listen 127.0.0.1:$upstream; location / { default_type application/json;
  return 200 '{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"The Alpine Shell keeps the rain out and weighs little."},"finish_reason":"stop"}],"usage":{"prompt_tokens":410,"completion_tokens":12,"total_tokens":422}}'; } } }
CONF
cat >"$work/peer.conf" <<CONF
$common pid $work/peer.pid;
http { $paths upstream u { server 127.0.0.1:$upstream; keepalive 64; keepalive_requests 100000000; }
  server { listen 127.0.0.1:$peer; location /proxy/openai/ { proxy_pass http://u/; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
CONF
nginx -p "$work" -c "$work/upstream.conf" & pids="$pids $!"
nginx -p "$work" -c "$work/peer.conf" & pids="$pids $!"
"$build/src/cli/vitrine" serve --config "" --listen 127.0.0.1:0 --grpc "" --threads 1 --data "$work/data" --upstream "openai=http://127.0.0.1:$upstream" >"$work/log" 2>&1 & own_pid=$!
pids="$pids $own_pid"
while ! grep -qs ready "$work/log"; do sleep 0.1; done
peer_pid=$(pgrep -P "$(cat "$work/peer.pid")")
own=$(sed -n 's/.*listening on http:..127.0.0.1:\([0-9]*\).*/\1/p' "$work/log")

python3 - "$work/post.lua" <<'PY'
import json, sys
text = " ".join(["Which jacket is good in the rain, light, and not too dear for a student who walks a lot?"] * 20)
body = json.dumps({"model": "gpt-4o-mini", "temperature": 0.7, "messages": [{"role": "system", "content": "You sell outdoor clothes."}, {"role": "user", "content": text[:1660]}]})
open(sys.argv[1], "w").write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.headers["Authorization"] = "Bearer sk-bench-0123456789"\nwrk.body = [==[%s]==]\n' % body)
print("data: a POST of %d bytes, an answer of 300" % len(body))
PY
echo "machine: $(grep -c ^processor /proc/cpuinfo) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg)"
echo "$(nginx -v 2>&1), $seconds s each"
printf '%-8s %12s %10s %10s %10s %14s %14s %8s\n' way connections 'p50 µs' 'p99 µs' 'calls/s' 'CPU µs/call' 'all threads' errors
# User and system time in µs of a thread (PID/task/TID) or a process (PID).
cpu() { awk -v hz="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); printf "%d", ($12 + $13) * 1000000 / hz}' "/proc/$1/stat"; }
loop_of() { for task in "/proc/$1/task/"*; do if grep -q '^vt-loop-0' "$task/comm"; then echo "${task#/proc/}"; fi; done; }
micros() { awk -v t="$1" 'BEGIN {n = t + 0; if (t ~ /us$/) m = 1; else if (t ~ /ms$/) m = 1000; else m = 1000000; printf "%.0f", n * m}'; }
for connections in 1 32; do
    for way in straight nginx vitrine; do
        case $way in
            straight) url=http://127.0.0.1:$upstream pid='' thread='' ;;
            nginx) url=http://127.0.0.1:$peer/proxy/openai pid=$peer_pid thread=$peer_pid ;;
            vitrine) url=http://127.0.0.1:$own/proxy/openai pid=$own_pid thread=$(loop_of "$own_pid") ;;
        esac
        wrk -t1 -c1 -d1s -s "$work/post.lua" "$url/v1/chat/completions" >/dev/null
        if [ "$pid" ]; then thread_before=$(cpu "$thread") all_before=$(cpu "$pid"); fi
        wrk -t1 -c"$connections" -d"${seconds}s" --latency -s "$work/post.lua" "$url/v1/chat/completions" >"$work/out"
        calls=$(awk '/requests in/ {print $1}' "$work/out") own_cpu=- all_cpu=-
        if [ "$pid" ]; then
            own_cpu=$(awk -v n="$calls" -v t=$(($(cpu "$thread") - thread_before)) 'BEGIN {printf "%.1f", t / n}')
            all_cpu=$(awk -v n="$calls" -v t=$(($(cpu "$pid") - all_before)) 'BEGIN {printf "%.1f", t / n}')
        fi
        printf '%-8s %12s %10s %10s %10s %14s %14s %8s\n' $way $connections "$(micros "$(awk '$1 == "50%" {print $2}' "$work/out")")" \
            "$(micros "$(awk '$1 == "99%" {print $2}' "$work/out")")" "$(awk '/Requests\/sec/ {printf "%.0f", $2}' "$work/out")" "$own_cpu" "$all_cpu" \
            "$(awk '/Non-2xx/ {n = $NF} /Socket errors/ {gsub(",", ""); n += $4 + $6 + $8 + $10} END {print n + 0}' "$work/out")"
    done
done
sleep 1
curl -s "http://127.0.0.1:$own/metrics" | grep -E '^vitrine_(proxy_(calls|spans_lost)|ingest_spans_accepted)_total' || true
