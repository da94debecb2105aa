#!/bin/sh
# build.sh PRESET [TARGET…]: configures the preset once and builds the targets (everything when none is named).
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh
# The same source compiles once, whichever folder the tree lies in.
# The sloppiness is what precompiled headers need to be cached at all; nothing here uses __TIME__.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
preset=$1
shift
case $preset in
  release) folder=build ;;
  *) folder=build-$preset ;;
esac
if [ ! -f "$folder/build.ninja" ]; then
  logged "configuring ($preset)" "build/log/configure-$preset.log" cmake --preset "$preset"
fi
logged "building ($preset)" "build/log/build-$preset.log" ninja -C "$folder" "$@" ||
  die "the $preset build failed" "the whole log is build/log/build-$preset.log"
