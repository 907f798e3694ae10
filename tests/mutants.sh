#!/bin/sh
# Each planted bug (io/base/mutant.h) must make one of the programs fail within five minutes. Prints
# which did, and how soon; ends in "N of N found, worst S s".
#   tests/mutants.sh BUILD_DIR      (a build with -DOMI_MUTANTS_BUILD)
set -u
build=${1:?build directory}
limit=300
found=0
number=0
worst=0
names=$(sed -n 's/^    OMI_MUTANT_\([A-Z_]*\),.*/\1/p' io/base/mutant.h | grep -v '^NONE$')

# Without a planted bug all of them pass, so that what they find is the bug.
for program in "crash --points 4000 --seconds 40" "oracle --ops 30000" "fail_io --part 1/8" \
    "filter_sweep --step 11" "damage --step 5"; do
    # shellcheck disable=SC2086
    OMENDB_MUTANT=0 "$build"/tests/$program --seed 100000 >"$build/mutant.log" 2>&1 && continue
    tail -n 3 "$build/mutant.log"
    echo "FAILED without a planted bug: $program --seed 100000"
    exit 1
done

# The first program that fails with mutant $1, in $by; the seeds of the last resort differ.
hunt() {
    start=$(date +%s)
    for seed in 1 2 3 4 5 6 7 8; do
        for program in "crash --points 4000 --seconds 40" "oracle --ops 30000" "fail_io --part $seed/8" \
            "filter_sweep --step 11" "damage --step 5"; do
            left=$((limit - $(date +%s) + start))
            [ $left -gt 0 ] || return 1
            # shellcheck disable=SC2086
            OMENDB_MUTANT=$1 timeout "$left" "$build"/tests/$program --seed ${seed}00000 \
                >"$build/mutant.log" 2>&1 && continue
            grep -q FAILED "$build/mutant.log" || continue # out of time is not found
            by="${program%% *}, seed ${seed}00000: $(grep -m1 FAILED "$build/mutant.log")"
            return 0
        done
    done
    return 1
}

for name in $names; do
    number=$((number + 1))
    if hunt $number; then
        seconds=$(($(date +%s) - start))
        [ $seconds -le $worst ] || worst=$seconds
        found=$((found + 1))
        printf 'found   %2d %-22s in %3d s by %s\n' $number "$name" $seconds "$by"
    else
        printf 'MISSED  %2d %-22s after %3d s\n' $number "$name" $(($(date +%s) - start))
    fi
done
printf '%d of %d found, worst %d s\n' $found $number $worst
[ $found -eq $number ]
