#!/bin/sh
# Each planted bug (io/base/mutant.h) must make one of the programs fail. Prints which, and how soon.
#   tests/mutants.sh BUILD_DIR      (a build with -DOMI_MUTANTS_BUILD)
set -u
build=${1:?build directory}
passed=0
failed=0
names=$(sed -n 's/^    OMI_MUTANT_\([A-Z_]*\),.*/\1/p' io/base/mutant.h | grep -v '^NONE$')
number=0
for name in $names; do
    number=$((number + 1))
    start=$(date +%s)
    found=
    for seed in 1 2 3 4 5 6 7 8; do
        for program in "crash --points 4000 --seconds 40" "oracle --ops 30000" "damage"; do
            # shellcheck disable=SC2086
            set -- $program
            tool=$1
            shift
            if ! OMENDB_MUTANT=$number timeout 120 "$build/tests/$tool" "$@" --seed "${seed}00000" \
                >"$build/mutant.log" 2>&1; then
                found="$tool, seed ${seed}00000: $(grep -m1 FAILED "$build/mutant.log")"
                break 2
            fi
        done
        [ $(($(date +%s) - start)) -gt 280 ] && break
    done
    seconds=$(($(date +%s) - start))
    if [ -n "$found" ]; then
        passed=$((passed + 1))
        printf 'found   %2d %-22s in %3d s by %s\n' "$number" "$name" "$seconds" "$found"
    else
        failed=$((failed + 1))
        printf 'MISSED  %2d %-22s after %3d s\n' "$number" "$name" "$seconds"
    fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
