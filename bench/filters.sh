#!/usr/bin/env bash
# Learned filters with 0.55 of the memory beside plain ones with all of it: device reads a lookup, on
# every workload of bench/filters.c; then their speed on hashed keys. Prints ratios, learned / plain.
#   bench/filters.sh [BUILD_DIR [KEYS [WORKLOAD...]]]
set -eu
build=${1:-build/release}
keys=${2:-10000000}
shift $(($# < 2 ? $# : 2))
workloads=${*:-B B2 D1 D3 E C hits}
gets=$((keys / 5 < 2000000 ? keys / 5 : 2000000))
dir=$(mktemp -d "${TMPDIR:-/tmp}/omendb-filters.XXXXXX")
trap 'rm -rf "$dir"' EXIT
base="memory_bytes=256M,memtable_bytes=2M,cache_bytes=32M,filter_bits=10"

field() { # name, from the last line with the phase
    grep "\"phase\":\"$2\"" "$1" | tail -n 1 | sed "s/.*\"$3\":\([0-9.]*\).*/\1/"
}
run() { # out, workload, options, flags...
    local out=$1 workload=$2 options=$3
    shift 3
    "$build/bench/filters" "$dir/db" "$workload" --num "$keys" --gets "$gets" --json \
        --options "$base,$options" "$@" >"$out"
}

printf '%-5s %12s %12s %14s %14s %8s\n' work "plain MB" "learned MB" "plain reads" "learned reads" ratio
for w in $workloads; do
    run "$dir/plain" "$w" filter=plain,filter_bytes=1G
    memory=$(field "$dir/plain" learned filter_bytes)
    budget=$(awk -v m="$memory" 'BEGIN { printf "%d", 0.55 * m }')
    run "$dir/learned" "$w" "filter=learned,filter_bytes=$budget"
    awk -v w="$w" -v pm="$memory" -v lm="$(field "$dir/learned" learned filter_bytes)" \
        -v pr="$(field "$dir/plain" learned device_reads_per_get)" \
        -v lr="$(field "$dir/learned" learned device_reads_per_get)" \
        'BEGIN { r = (pr > 0) ? lr / pr : 0
                 printf "%-5s %12.2f %12.2f %14.5f %14.5f %8.2f\n", w, pm / 1e6, lm / 1e6, pr, lr, r }'
done

# The same memory, hashed keys: nothing to learn, so nothing may be lost.
: >"$dir/ratios"
for _ in 1 2 3; do
    run "$dir/plain" A filter=plain,filter_bytes=1G
    run "$dir/learned" A filter=learned,filter_bytes=1G
    awk -v p="$(field "$dir/plain" learned ns_per_get)" \
        -v l="$(field "$dir/learned" learned ns_per_get)" 'BEGIN { print l / p }' >>"$dir/ratios"
done
printf 'hashed keys, ns a get, learned / plain, median of 3: %s\n' "$(sort -n "$dir/ratios" | sed -n 2p)"
