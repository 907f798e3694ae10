#!/bin/sh
# Runs the fuzzers, one after the other: each for SECONDS, from its committed corpus, what is new going
# into a scratch corpus that the next run begins with as well. A finding ends the run and is kept.
#   tests/fuzz/run.sh BUILD_DIR SECONDS [TARGET...]      (make fuzz builds into build/fuzz)
set -u
build=${1:?build directory}
seconds=${2:?seconds}
shift 2
here=tests/fuzz
[ $# -gt 0 ] || set -- "$here"/fuzz_*.c
# What was freed is kept aside for a while, to notice its use: little of it, for the limits below.
export ASAN_OPTIONS="quarantine_size_mb=16:malloc_context_size=8:detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
found=$build/findings
mkdir -p "$found"

limits() { # what is special to a target: the longest input, the largest single allocation in MiB
    case $1 in
    fuzz_index | fuzz_filter | fuzz_range_filter) echo "-max_len=16384 -malloc_limit_mb=64" ;;
    fuzz_table) echo "-max_len=16384 -malloc_limit_mb=300" ;; # a block may hold a value of 256 MiB
    fuzz_dir) echo "-max_len=32768 -malloc_limit_mb=300" ;;
    fuzz_wal | fuzz_manifest) echo "-max_len=8192 -malloc_limit_mb=64" ;;
    fuzz_api) echo "-max_len=256 -malloc_limit_mb=64" ;;
    *) echo "-max_len=4096 -malloc_limit_mb=64" ;;
    esac
}

count() { # a figure of libFuzzer's closing lines
    sed -n "s/^stat::$2: *\([0-9]*\).*/\1/p" "$1"
}

total=0
targets=0
for target; do
    target=$(basename "$target" .c)
    scratch=$build/scratch/$target
    log=$found/$target.log
    mkdir -p "$scratch"
    corpus=
    [ -d "$here/corpus/$target" ] && corpus=$here/corpus/$target
    dict=
    [ -f "$here/$target.dict" ] && dict=-dict=$here/$target.dict
    # shellcheck disable=SC2046,SC2086
    if ! "$build/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
        -entropic=0 -print_final_stats=1 -artifact_prefix="$found/$target-" $(limits "$target") $dict \
        "$scratch" $corpus >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz: $target found something: $found/$target-*; replay: $build/$target FILE"
        exit 1
    fi
    executions=$(count "$log" number_of_executed_units)
    covered=$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-14s %10s executions  %7s edges  %6s new units\n' "$target" "$executions" "$covered" \
        "$(count "$log" new_units_added)"
    total=$((total + executions))
    targets=$((targets + 1))
done
echo "fuzz: $total executions of $targets targets, 0 findings"
