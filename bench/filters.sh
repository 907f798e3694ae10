#!/usr/bin/env bash
# Learned filters with 0.55 of the memory beside plain ones with all of it: device reads a lookup in a
# tree that moves, on the workloads of bench/filters.c, with a block cache and without; then their speed on
# hashed keys. Prints ratios, learned / plain.
#   bench/filters.sh [BUILD_DIR [KEYS [WORKLOAD...]]]
set -eu
build=${1:-build/release}
keys=${2:-10000000}
shift $(($# < 2 ? $# : 2))
workloads=${*:-B B2 D1 D3 E hits}
gets=$((keys / 5 < 2000000 ? keys / 5 : 2000000))
dir=$(mktemp -d "${TMPDIR:-/tmp}/omendb-filters.XXXXXX")
trap 'rm -rf "$dir"' EXIT
# Three levels whatever the number of keys: memtables of a quarter, and a cache of four, bytes a key.
base="memory_bytes=256M,memtable_bytes=$((keys / 4 + 65536)),filter_bits=10"

field() { # name, from the last line with the phase
    grep "\"phase\":\"$2\"" "$1" | tail -n 1 | sed "s/.*\"$3\":\([0-9.]*\).*/\1/"
}
run() { # out, workload, options, flags...
    local out=$1 workload=$2 options=$3
    shift 3
    "$build/bench/filters" "$dir/db" "$workload" --num "$keys" --gets "$gets" --json \
        --options "$base,$options" "$@" >"$out"
}

printf '%-5s %-6s %10s %10s %12s %12s %6s\n' work cache "plain MB" "learned MB" "plain reads" "learned reads" ratio
for w in $workloads; do
    for cache in "$((keys * 4))" none; do
        run "$dir/plain" "$w" "cache_bytes=$cache,filter=plain,filter_bytes=1G" --inline
        memory=$(field "$dir/plain" moving filter_bytes)
        budget=$(awk -v m="$memory" 'BEGIN { printf "%d", 0.55 * m }')
        run "$dir/learned" "$w" "cache_bytes=$cache,filter=learned,filter_bytes=$budget" --inline
        [ "$cache" = none ] || cache=yes
        awk -v w="$w" -v c="$cache" -v pm="$memory" \
            -v lm="$(field "$dir/learned" moving filter_bytes)" \
            -v pr="$(field "$dir/plain" moving device_reads_per_get)" \
            -v lr="$(field "$dir/learned" moving device_reads_per_get)" \
            'BEGIN { r = (pr > 0) ? lr / pr : 0
                     printf "%-5s %-6s %10.2f %10.2f %12.5f %12.5f %6.2f\n", w, c, pm / 1e6, lm / 1e6, pr, lr, r }'
    done
done

# The same memory, hashed keys: nothing to learn, so nothing may be lost.
: >"$dir/ratios"
for _ in 1 2 3; do
    run "$dir/plain" A cache_bytes=1G,filter=plain,filter_bytes=1G
    run "$dir/learned" A cache_bytes=1G,filter=learned,filter_bytes=1G
    awk -v p="$(field "$dir/plain" learned ns_per_get)" \
        -v l="$(field "$dir/learned" learned ns_per_get)" 'BEGIN { print l / p }' >>"$dir/ratios"
done
printf 'hashed keys, ns a get, learned / plain, median of 3: %s\n' "$(sort -n "$dir/ratios" | sed -n 2p)"
