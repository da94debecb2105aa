#!/bin/sh
# fuzz.sh SECONDS: builds every fuzz target with libFuzzer and runs each for SECONDS over its seed corpus. New inputs go
# to build-fuzz/corpus/, crashes to build-fuzz/crashes/: copy a crash into tests/corpus/<parser>/ with its fix.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh
seconds=${1:-30}

targets=$(find src -name '*_fuzz.cpp' -exec basename {} .cpp \; | sort)
[ -n "$targets" ] || die "no fuzz target under src"
# shellcheck disable=SC2046,SC2086 # one argument a target
tools/build.sh fuzz $(printf 'bin/%s ' $targets)
mkdir -p build-fuzz/crashes
failed=0
count=0
for target in $targets; do
  parser=${target%_fuzz}
  mkdir -p "build-fuzz/corpus/$parser"
  count=$((count + 1))
  if logged "fuzzing $parser" "build/log/fuzz-$parser.log" \
    "build-fuzz/bin/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build-fuzz/crashes/$parser-" "build-fuzz/corpus/$parser" "tests/corpus/$parser"; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/log/fuzz-$parser.log")
    say "$parser: ${runs:-?} inputs in $seconds s, no crash"
  else
    failed=$((failed + 1))
  fi
done
say "$((count - failed)) fuzz targets clean, $failed with a crash"
[ "$failed" -eq 0 ]
