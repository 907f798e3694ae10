#!/bin/sh
# Makes the committed corpora from themselves and what the fuzzers found since. Inputs with a name that
# tells something stay: seeds, and what crashed once (crash-*). Those named by a hash are chosen anew:
# the smallest that reach what the others do not.
#   tests/fuzz/merge.sh BUILD_DIR [TARGET...]
set -u
build=${1:?build directory}
shift
here=tests/fuzz
[ $# -gt 0 ] || set -- "$here"/fuzz_*.c
most=3000 # bytes of an input that is chosen: the corpora together are to stay small
hash='[0-9a-f]{40}'
for target; do
    target=$(basename "$target" .c)
    corpus=$here/corpus/$target
    scratch=$build/scratch/$target
    from=$build/merge/$target.from
    to=$build/merge/$target
    rm -rf "$from" "$to"
    mkdir -p "$from" "$to" "$corpus" "$scratch"
    find "$corpus" -type f -regextype posix-extended ! -regex ".*/$hash" -exec cp -t "$to" {} +
    for dir in "$corpus" "$scratch"; do # one after the other: they share inputs
        find "$dir" -type f -regextype posix-extended -regex ".*/$hash" \
            -size -"$((most + 1))"c -exec cp -t "$from" {} +
    done
    # Edges alone: how often each is taken would choose ten times as many.
    if ! "$build/$target" -merge=1 -use_counters=0 "$to" "$from" >"$to.log" 2>&1; then
        tail -n 20 "$to.log"
        exit 1
    fi
    find "$corpus" -type f -delete
    cp "$to"/* "$corpus"/
    printf '%-14s %5s inputs %8s bytes\n' "$target" "$(find "$corpus" -type f | wc -l)" \
        "$(find "$corpus" -type f -printf '%s\n' | awk '{s += $1} END {print s}')"
done
