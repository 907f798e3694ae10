#!/bin/sh
# Runs each line of tests/failing_seeds: a program of ours and its arguments.
#   tests/replay_seeds.sh BUILD_DIR
set -u
build=${1:?build directory}
count=0
log=$build/replay_seeds.log
while read -r program arguments; do
    case $program in
    '' | '#'*) continue ;;
    stress) tool="$build/omendb stress" ;;
    *) tool=$build/tests/$program ;;
    esac
    # shellcheck disable=SC2086 # both are words to be split
    if ! $tool $arguments >"$log" 2>&1 </dev/null; then
        tail -n 25 "$log"
        echo "FAILED: $program $arguments"
        exit 1
    fi
    count=$((count + 1))
done <tests/failing_seeds
[ $count -gt 0 ] || { echo "no seeds in tests/failing_seeds"; exit 1; }
echo "replay_seeds: $count lines, none fails"
