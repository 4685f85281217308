#!/bin/sh
# Builds Vitrine and plays the demo: a storefront written in C talks to shoppers, every turn and LLM call is traced, stored and shown.
# scripts/demo.sh [OPTIONS OF `vitrine demo`]      works from a bare Debian 12; installs by apt what is missing
set -eu
. "$(dirname -- "$0")/lib.sh"

need_packages $BUILD_PACKAGES $PAGE_PACKAGES
say 'building in build/'
configure "$root/build" -Dbuildtype=release -Db_lto=true
compile "$root/build"
exec "$root/build/src/cli/vitrine" demo "$@"
