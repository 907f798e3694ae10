#!/bin/bash
# The memory tier in virtual machines: with a far node, without one, with an emulated CXL device.
#   check.sh BUILD_DIR [--quick]     --quick: not the device, which takes longest to come up
# 77: what it needs is missing here (tools/deps.sh --guest).
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${1:?build directory}
quick=${2:-}
passed=0
failed=0

machine() { # name, options of run.sh..., -- command
    local name=$1 start status
    shift
    start=$(date +%s)
    printf -- '---- %s\n' "$name"
    "$here/run.sh" "$@"
    status=$?
    if [ $status = 77 ]; then
        echo "guest-check: not run: what it needs is missing"
        exit 77
    elif [ $status = 0 ]; then
        passed=$((passed + 1))
        printf -- '---- %s: ok, %d s\n' "$name" $(($(date +%s) - start))
    else
        failed=$((failed + 1))
        printf -- '---- %s: FAILED with %d, %d s\n' "$name" $status $(($(date +%s) - start))
    fi
}

tier=$build/tests/guest/guest_tier
db=$build/tests/guest/guest_db
machine "a far node" --seconds 90 --file "$tier" -- guest_tier
machine "no far node" --far 0 --seconds 60 --file "$tier" -- guest_tier --no-far
if [ -x "$db" ]; then
    machine "a database over a far node" --far 256 --seconds 120 --file "$db" -- guest_db
    machine "a database without a far node" --far 0 --seconds 90 --file "$db" -- guest_db --no-far
fi
[ "$quick" = --quick ] ||
    machine "a CXL device" --cxl --far 256 --seconds 120 --file "$tier" -- \
        guest_tier --slow detects pages_lie_far moves lost_filter_and_model
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
