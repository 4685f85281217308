#!/bin/sh
# Makes one static library of the SDK and the parts of base it uses, in which only vt_ names are visible: a program that
# has its own buf_free or log_line can link it.
# prelink.sh OUT SDK_ARCHIVE BASE_ARCHIVE
set -eu
out=$1 sdk=$2 base=$3
object=$out.o
"${LD:-ld}" -r -o "$object" --whole-archive "$sdk" --no-whole-archive "$base"
"${OBJCOPY:-objcopy}" --localize-hidden "$object"
rm -f "$out"
"${AR:-ar}" rcs "$out" "$object"
rm -f "$object"
