#!/bin/sh
# Every example runs and ends well; each works in a directory of its own.
#   tests/examples.sh BUILD_DIR
set -u
build=${1:?build directory}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0
for source in examples/*.c; do
    name=$(basename "$source" .c)
    if "$build/examples/$name" "$dir/$name" >"$dir/out" 2>&1 </dev/null; then
        echo "ok $name"
    else
        echo "FAILED $name"
        cat "$dir/out"
        bad=1
    fi
done
exit $bad
