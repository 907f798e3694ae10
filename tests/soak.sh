#!/bin/sh
# The long programs in turn, with new seeds, for as long as is given; what was done is added up in
# docs/ledger.md, one line a program. Stops at the first failure, with its replay line.
#   tests/soak.sh BUILD_DIR SECONDS [PROGRAM...]
set -u
build=${1:?build directory}
end=$(($(date +%s) + ${2:?seconds}))
shift 2
ledger=docs/ledger.md
commit=$(git describe --always --dirty)
log=$build/soak.log
sums=$build/soak.sums
: >"$sums"

# Every program ends in "NAME: COUNT what...": the count is added up.
run() { # name, what is counted, program, arguments...
    name=$1
    unit=$2
    shift 2
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log"
        echo "FAILED: $*"
        return 1
    fi
    count=$(sed -n 's/^[a-z_]*: \([0-9][0-9]*\) .*/\1/p' "$log" | tail -n 1)
    echo "$name|$unit|${count:-0}" >>"$sums"
    printf '%-14s %12s %s\n' "$name" "${count:-0}" "$unit"
}

round() {
    stress="$build/omendb stress"
    seed=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
    for name in $programs; do
        tool=$build/tests/$name
        case $name in
        crash) run "$name" "simulated crash points, 0 violations" "$tool" --points 200000 --seed "$seed" ;;
        crash_scripts) run "$name" "simulated crash points in scripts, 0 violations" "$tool" --seed "$seed" ;;
        fail_io) run "$name" "failing calls, 0 violations" "$tool" --seed "$seed" ;;
        fail_alloc) run "$name" "failing allocations, 0 violations" "$tool" --seed "$seed" ;;
        oracle) run "$name" "operations, 0 differences" "$tool" --ops 100000 --seed "$seed" ;;
        kill) run "$name" "kills, nothing acknowledged lost" "$tool" --kills 100 --seed "$seed" ;;
        repair_sweep) run "$name" "damaged databases repaired, nothing readable lost" "$tool" --runs 2000 --seed "$seed" ;;
        soak_index) run "$name" "lookups, 0 wrong" "$tool" 100000000 "$seed" ;;
        stress_dir) run "$name" "writes by threads, every answer right" $stress --mode=dir --seconds=120 --seed="$seed" ;;
        stress_sim) run "$name" "simulated crashes and faults among threads, 0 violations" $stress --mode=sim --faults --seconds=240 --seed="$seed" ;;
        stress_kill) run "$name" "kills of threads, nothing acknowledged lost" $stress --mode=kill --crashes=200 --seed="$seed" ;;
        stress_fs) run "$name" "shutdowns of a real file system, nothing durable lost" $stress --mode=fs --crashes=200 --seed="$seed" ;;
        full_disk) run "$name" "fills of a small disk, nothing acknowledged lost" tests/full_disk.sh "$build" 20 "$seed" ;;
        damage) run "$name" "changes, 0 wrong answers" "$tool" --seed "$seed" ;;
        *)
            echo "no long program is called $name"
            return 1
            ;;
        esac || return 1
        [ "$(date +%s)" -lt $end ] || return 0
    done
}

programs=${*:-soak_index crash crash_scripts fail_io fail_alloc oracle kill stress_dir stress_sim stress_kill stress_fs full_disk repair_sweep damage}
ok=0
while [ "$(date +%s)" -lt $end ] && [ $ok -eq 0 ]; do
    round || ok=1
done
sort "$sums" | awk -F'|' -v date="$(date +%F)" -v commit="$commit" '
    function row() { printf "| %s | %s | `%s` | %d %s |\n", date, commit, name, sum, unit }
    name != "" && $1 != name { row(); sum = 0 }
    { name = $1; unit = $2; sum += $3 }
    END { if (name != "") row() }' >>$ledger
exit $ok
