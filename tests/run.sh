#!/bin/sh
# All checks of `make check`, one after the other: name, time, and what went wrong.
#   tests/run.sh BUILD_DIR [STEP...]      without those steps
set -u
build=${1:?build directory}
shift
left_out=" $* "
logs=$build/logs
mkdir -p "$logs"
passed=0
failed=0

step() { # name, command...
    name=$1
    shift
    case $left_out in *" $name "*) return ;; esac
    start=$(date +%s)
    if "$@" >"$logs/$name.log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        printf 'ok      %4d s  %s\n' $(($(date +%s) - start)) "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %4d s  %s\n' $(($(date +%s) - start)) "$name"
        tail -n 25 "$logs/$name.log" | sed 's/^/    /'
    fi
}

unit=0
for source in tests/unit/*/test_*.c; do
    test=${source#tests/unit/}
    test=${test%.c}
    unit=$((unit + 1))
    step "unit-$(echo "$test" | tr / -)" "$build/unit/$test" -j2
done
step examples tests/examples.sh "$build"
step layers tests/layers.sh
step symbols tests/symbols.sh "$build"
step cli tests/cli_test.sh "$build/omendb"
step tune tests/tune_test.sh "$build/omendb"
step tune-report tests/tune_report_test.sh "$build/omendb"
step golden tests/golden.sh "$build/omendb"
step bench-lines tests/golden_bench.sh "$build/omendb"
step oracle "$build/tests/oracle" --ops 25000
step crash "$build/tests/crash" --points 4000
step crash-scripts "$build/tests/crash_scripts" --every 10
step fail-io "$build/tests/fail_io" --every 40
step fail-alloc "$build/tests/fail_alloc" --every 10
step kill "$build/tests/kill" --kills 8
step damage "$build/tests/damage" --step 41
step filter-sweep "$build/tests/filter_sweep" --step 23
step refused "$build/tests/refused"
step repair-sweep "$build/tests/repair_sweep" --runs 300
step stress-sim "$build/omendb" stress --mode=sim --ops=12000
step stress-faults "$build/omendb" stress --mode=sim --faults --ops=12000
step stress-dir "$build/omendb" stress --mode=dir --seconds=3
step stress-kill "$build/omendb" stress --mode=kill --crashes=8
step tune-engine "$build/tests/tune_engine" --entries 10000 --bits 90 --only lazy:4
step failing-seeds tests/replay_seeds.sh "$build"
for corpus in tests/fuzz/corpus/fuzz_*; do
    target=${corpus##*/fuzz_}
    step "fuzz-corpus-$target" "$build/fuzz/replay_$target" "$corpus"
done
step memtable-threads "$build/tests/tsan_memtable" 2
step sample-threads "$build/tests/tsan_sample" 2
step filter-threads "$build/tests/tsan_filter" 3
step trace-threads "$build/tests/tsan_trace" 2
step far-threads "$build/tests/tsan_far" 3
# The fault-proof programs once more, over far memory.
step far-crash env OMENDB_FAR=heap "$build/tests/crash" --points 1500
step far-crash-scripts env OMENDB_FAR=delay:200 "$build/tests/crash_scripts" --every 40
step far-fail-io env OMENDB_FAR=heap "$build/tests/fail_io" --every 160
step far-fail-alloc env OMENDB_FAR=heap "$build/tests/fail_alloc" --every 40
step far-oracle env OMENDB_FAR=delay:200 "$build/tests/oracle" --ops 4000
step far-damage env OMENDB_FAR=heap "$build/tests/damage" --step 211
step filter-keys "$build/tests/soak_filter" 10 1
step tier-threads "$build/tests/tsan_tier" 2
step index-lookups "$build/tests/soak_index" 1000000 1
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
