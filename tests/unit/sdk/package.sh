#!/bin/sh
# What applications get: installs into a directory and looks at the libraries and headers there as an outsider does.
# package.sh BUILD_DIR otlp|no-otlp sanitized|plain
set -eu
build=$1 otlp=$2 sanitized=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dest=$work/dest

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
check() { # check NAME COMMAND…
    name=$1
    shift
    "$@" >"$work/out" 2>&1 || { cat "$work/out"; fail "$name"; }
    echo "ok: $name"
}

DESTDIR=$dest meson install -C "$build" --no-rebuild --quiet >"$work/out" 2>&1 || { cat "$work/out"; fail "meson install"; }
lib=$(dirname "$(find "$dest" -name 'libvitrine.so')")
include=$(dirname "$(find "$dest" -name vitrine.h)")
for file in "$lib/libvitrine.so.0" "$lib/libvitrine.so.0.1.0" "$lib/libvitrine.a" "$lib/pkgconfig/vitrine.pc" "$include/vitrine-otlp.h"; do
    [ -e "$file" ] || fail "$file is not installed"
done
if [ "$otlp" = otlp ]; then
    for file in libvitrine-otlp.so libvitrine-otlp.so.0 libvitrine-otlp.a pkgconfig/vitrine-otlp.pc; do
        [ -e "$lib/$file" ] || fail "$file is not installed"
    done
fi
echo "ok: everything is installed"

needs_libc_alone() {
    needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    for one in $needed; do
        case $one in
        libc.so.*|libpthread.so.*|ld-linux*.so.*|libdl.so.*|libm.so.*) ;;
        *) echo "$1 needs $one"; return 1 ;;
        esac
    done
}
vt_names_only() { # vt_names_only NM_OPTIONS FILE
    others=$(nm $1 --defined-only "$2" | sed -n 's/^[0-9a-f]* [A-TV-Zuw] //p' | grep -v '^vt_' | grep -v '^VITRINE_0' || true)
    [ -z "$others" ] || { echo "$2 shows $others"; return 1; }
    nm $1 --defined-only "$2" | grep -q ' T vt_' || { echo "$2 shows nothing"; return 1; }
}
if [ "$sanitized" = plain ]; then
    check "the shared library needs libc alone" needs_libc_alone "$lib/libvitrine.so"
    check "ldd finds all of it" sh -c "! ldd '$lib/libvitrine.so' | grep -q 'not found'"
    check "the shared library shows vt_ names alone" vt_names_only -D "$lib/libvitrine.so"
    check "the static library shows vt_ names alone" vt_names_only -g "$lib/libvitrine.a"
    if [ "$otlp" = otlp ]; then
        check "the shared OTLP library shows vt_ names alone" vt_names_only -D "$lib/libvitrine-otlp.so"
        check "the static OTLP library shows vt_ names alone" vt_names_only -g "$lib/libvitrine-otlp.a"
    fi
    check "nothing in the library needs an executable stack" sh -c "readelf -lW '$lib/libvitrine.so' | grep GNU_STACK | grep -qv RWE"
fi

# Headers alone, in every language standard that people use.
printf '#include <vitrine-otlp.h>\n#include <vitrine.h>\nint main(void) { vt_attr a = vt_attr_int("k", 1); return vt_version() == 0 || a.type != VT_INT; }\n' >"$work/headers.c"
cp "$work/headers.c" "$work/headers.cc"
for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    for std in c99 c11 gnu17; do
        check "$cc -std=$std takes the headers" $cc -std=$std -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wpedantic -Werror -fsyntax-only -I"$include" "$work/headers.c"
    done
done
for cxx in g++ clang++; do
    command -v $cxx >/dev/null || continue
    for std in c++11 c++17 c++20; do
        check "$cxx -std=$std takes the headers" $cxx -std=$std -Wall -Wextra -Wshadow -Wconversion -Wpedantic -Werror -fsyntax-only -I"$include" "$work/headers.cc"
    done
done
[ "$sanitized" = plain ] || exit 0

# Programs outside the tree, by pkg-config.
export PKG_CONFIG_SYSROOT_DIR="$dest" PKG_CONFIG_PATH="$lib/pkgconfig" PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
cat >"$work/app.c" <<'APP'
#include <vitrine.h>
/* Names of our own that a library of ours has inside as well. */
int buf_free(void);
int buf_free(void) { return 0; }
int main(void) {
    if (vt_init(0)) return 1;
    vt_span *span = vt_span_start("outside");
    vt_span_set_str(span, "k", "v");
    vt_span_end(span);
    vt_shutdown();
    return buf_free();
}
APP
cp "$work/app.c" "$work/app.cc"
runs() { # runs PROGRAM: it prints its line
    env -u OTEL_ENABLE_CONSOLE LD_LIBRARY_PATH="$lib" "$1" >"$work/line" || return 1
    grep -q '"operation":"outside".*"k":"v"' "$work/line" || { cat "$work/line"; return 1; }
}
cc=${CC:-cc}
check "a C program builds by pkg-config" $cc "$work/app.c" -o "$work/shared" $(pkg-config --cflags --libs vitrine)
check "… and runs" runs "$work/shared"
if command -v g++ >/dev/null; then
    check "a C++ program builds by pkg-config" g++ -xc++ "$work/app.cc" -o "$work/cxx" $(pkg-config --cflags --libs vitrine)
    check "… and runs" runs "$work/cxx"
fi
check "a C program takes the static library" $cc "$work/app.c" -o "$work/static" $(pkg-config --cflags vitrine) "$lib/libvitrine.a" -pthread
check "… and runs" runs "$work/static"
check "… and needs no library of ours" sh -c "! readelf -d '$work/static' | grep -q libvitrine"
if [ "$otlp" = otlp ]; then
    sed 's|vt_init(0)|vt_init(0)|' "$work/app.c" >"$work/otlp.c"
    linked_otlp() { readelf -d "$1" | grep -q 'NEEDED.*libvitrine-otlp'; }
    check "a program links the OTLP library by pkg-config" $cc -Wl,--as-needed "$work/otlp.c" -o "$work/otlp" $(pkg-config --cflags --libs vitrine-otlp)
    check "… and keeps it although it calls nothing of it" linked_otlp "$work/otlp"
    check "… and runs" runs "$work/otlp"
    check "a program takes the static OTLP library" $cc "$work/otlp.c" -o "$work/otlp-static" $(pkg-config --cflags vitrine-otlp) \
        -Wl,-u,vt_otlp_exporter "$lib/libvitrine-otlp.a" "$lib/libvitrine.a" $(env -u PKG_CONFIG_SYSROOT_DIR -u PKG_CONFIG_PATH pkg-config --libs libcurl libdeflate) -pthread
    check "… and runs" runs "$work/otlp-static"
fi
