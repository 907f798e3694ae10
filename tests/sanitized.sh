#!/bin/sh
# The tests of a sanitizer build. Reports go to files, so that no test runner can hide one.
#   tests/sanitized.sh BUILD_DIR unit|programs
set -u
build=${1:?build directory}
what=${2:?unit or programs}
reports=$PWD/$build/reports
rm -rf "$reports"
mkdir -p "$reports"
export ASAN_OPTIONS="log_path=$reports/asan:detect_leaks=1"
export UBSAN_OPTIONS="log_path=$reports/ubsan:print_stacktrace=1"
export TSAN_OPTIONS="log_path=$reports/tsan:halt_on_error=0:exitcode=66"
passed=0
failed=0

step() {
    name=$1
    shift
    if "$@" >"$reports/$name.out" 2>&1 </dev/null && [ -z "$(ls "$reports" | grep -E '^(asan|ubsan|tsan)\.')" ]; then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$name"
        tail -n 20 "$reports/$name.out" | sed 's/^/    /'
        for report in "$reports"/asan.* "$reports"/ubsan.* "$reports"/tsan.*; do
            [ -f "$report" ] && head -n 40 "$report" | sed 's/^/    /'
            rm -f "$report"
        done
    fi
}

if [ "$what" = unit ]; then
    for source in tests/unit/*/test_*.c; do
        test=${source#tests/unit/}
        test=${test%.c}
        step "$(echo "$test" | tr / -)" "$build/unit/$test" -j2
    done
    step damage "$build/tests/damage" --step 211
    step crash "$build/tests/crash" --points 1500
    step repair-sweep "$build/tests/repair_sweep" --runs 150
    step crash-scripts "$build/tests/crash_scripts" --every 40
    step fail-io "$build/tests/fail_io" --every 80
    step fail-alloc "$build/tests/fail_alloc" --every 20
    step index-lookups "$build/tests/soak_index" 100000 1
    for corpus in tests/fuzz/corpus/fuzz_*; do
        target=${corpus##*/fuzz_}
        step "fuzz-corpus-$target" "$build/fuzz/replay_$target" "$corpus"
    done
fi
step tier "$build/tests/tsan_tier" 3
step memtable "$build/tests/tsan_memtable" 3
step sample "$build/tests/tsan_sample" 3
step filters "$build/tests/tsan_filter" 6
step trace "$build/tests/tsan_trace" 5
step far "$build/tests/tsan_far" 6
step far-crash env OMENDB_FAR=heap "$build/tests/crash" --points 600
step far-scripts env OMENDB_FAR=delay:200 "$build/tests/crash_scripts" --every 120
step stress-dir "$build/omendb" stress --mode=dir --seconds=5
step stress-sim "$build/omendb" stress --mode=sim --faults --ops=3000
for set in 0 5 8 9 10 11; do
    step "oracle-$set" "$build/tests/oracle" --ops 8000 --set "$set"
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
