#!/bin/sh
# The same workloads on omendb and on Debian's RocksDB, in turn; medians and ratios.
#   bench/compare.sh [BUILD_DIR] [NUM] [ROUNDS] [be64|ycsb]
# Both without compression, 10-bit Bloom filters, 2 GiB block cache, one client thread.
set -eu
build=${1:-build/release}
num=${2:-10000000}
rounds=${3:-3}
keys=${4:-be64}
reads=$((num / 10))
cache=2147483648
work=$(mktemp -d "${TMPDIR:-/tmp}/omendb-compare.XXXXXX")
trap 'rm -rf "$work"' EXIT
peer=$build/bench/rocksdb_bench
mkdir -p "$build/bench"
if ! ${CC:-cc} -O2 -o "$peer" bench/peers/rocksdb/rocksdb_bench.c -lrocksdb 2>/dev/null; then
    echo "skipped: rocksdb (librocksdb-dev is not here; tools/deps.sh --peers installs it)"
    peer=
fi
first="fillseq,readseq"
second="fillrandom,waitforcompaction,readrandom,readrandom,readmissing,multireadrandom,seekrandom"

ours() {
    "$build/omendb" bench --benchmarks="$1" --num="$num" --reads="$2" --seek_nexts=10 --key_dist="$keys" \
        --compression_type=none --bloom_bits=10 --cache_size=$cache --db="$work/omendb" \
        --json="$work/out.json" >/dev/null 2>&1
    tr -d ' \n' <"$work/out.json" | tr '{' '\n' |
        sed -n 's/.*"name":"\([a-z]*\)".*"ops_per_sec":\([0-9.]*\).*/omendb \1 \2/p'
    echo
}
theirs() {
    [ -n "$peer" ] || return 0
    "$peer" "$1" "$num" "$2" "$work/rocksdb" $cache "$keys" |
        sed -n 's/.*"name": "\([a-z]*\)".*"ops_per_sec": \([0-9]*\).*/\1 \2/p' | sed 's/^/rocksdb /'
}

round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    for list in "$first" "$second"; do
        case $list in "$first") count=$num ;; *) count=$reads ;; esac
        ours "$list" "$count" >>"$work/figures"
        theirs "$list" "$count" >>"$work/figures"
    done
    rm -rf "$work/omendb" "$work/rocksdb"
done
echo "$num entries of $keys keys and 100-byte values, medians of $rounds rounds, operations a second"
[ -z "$peer" ] || echo "(Debian's RocksDB is built with assertions on, which costs it something)"
printf '%-18s %12s %12s %8s\n' workload omendb rocksdb ratio
# readrandom is run twice: the first fills the cache, the second is the one that counts.
for name in fillseq fillrandom readrandom readmissing multireadrandom seekrandom readseq; do
    each=1
    [ $name = readrandom ] && each=2
    median() {
        awk -v w="$1" -v n="$name" -v each=$each \
            '$1 == w && $2 == n && ++seen % each == 0 { print $3 }' "$work/figures" | sort -n |
            awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print 0 }'
    }
    awk -v n="$name" -v a="$(median omendb)" -v b="$(median rocksdb)" \
        'BEGIN { printf "%-18s %12d %12d %8s\n", n, a, b, (b > 0 ? sprintf("%.2fx", a / b) : "-") }'
done
