#!/bin/sh
# golden_bench.sh - runs a tiny benchmark and reads it as RocksDB 7's tools/benchmark.sh does, by
# line prefix and field number: each figure must be a number.
# usage: tests/golden_bench.sh [PATH-OF-OMENDB]; the last line says "N passed, N failed".
omendb=${1:-${OMENDB:-build/release/omendb}}
case $omendb in */*) ;; *) omendb=$(command -v "$omendb") ;; esac
[ -x "$omendb" ] || { echo "golden_bench: no program $omendb"; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/omendb-golden.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
out=$dir/out
passed=0
failed=0

ok() {
    passed=$((passed + 1))
}
bad() {
    failed=$((failed + 1))
    echo "FAILED $1"
}
# number NAME VALUE
number() {
    case $2 in
    '' | *[!0-9.]* | *.*.*) bad "$1: \"$2\" is no number" ;;
    *) ok ;;
    esac
}
# line NAME PATTERN: a whole line of the output
line() {
    if grep -qE -e "$2" "$out"; then ok; else bad "$1: no line matches $2"; fi
}

"$omendb" bench --benchmarks=fillseq,overwrite,readrandom,seekrandom,waitforcompaction,stats,levelstats \
    --db="$dir/db" --num=20000 --value_size=100 --seek_nexts=10 --statistics=1 --histogram=1 \
    --stats_per_interval=1 --stats_interval_seconds=60 --report_interval_seconds=1 \
    --report_file="$dir/report.csv" --bloom_bits=10 --seed=1 --json="$dir/json" \
    >"$dir/stdout" 2>"$dir/stderr" || { echo "FAILED: the run itself"; cat "$dir/stderr"; }
cat "$dir/stdout" "$dir/stderr" >"$out" # benchmark.sh merges them

for bench in fillseq overwrite readrandom seekrandom; do
    v2=$(grep "^$bench" "$out" | awk 'NF >= 10 && $8 == "seconds" { print 1 }')
    number "$bench is of the newer form" "$v2"
    number "$bench us/op" "$(grep "^$bench" "$out" | awk '{ print $3 }')"
    number "$bench ops/s" "$(grep "^$bench" "$out" | awk '{ print $5 }')"
    number "$bench seconds" "$(grep "^$bench" "$out" | awk '{ print $7 }')"
    number "$bench operations" "$(grep "^$bench" "$out" | awk '{ print $9 }')"
    number "$bench MB/s" "$(grep "^$bench" "$out" | awk '{ print $11 }')"
done
number "uptime" "$(grep '^Uptime(secs' "$out" | tail -1 | awk '{ printf "%.0f", $2 }')"
number "stall percent" "$(grep '^Cumulative stall' "$out" | tail -1 | awk '{ print $5 }')"
number "stall count" "$(grep '^Stalls(count):' "$out" | tail -1 | awk '{ print $2 + $6 + $10 + $14 + $18 + $20 }')"
number "ingest" "$(grep '^Cumulative writes' "$out" | tail -1 | awk '{ for (i = 1; i <= NF; i++) if ($i == "ingest:") print $(i + 1) }')"
unit=$(grep '^Cumulative writes' "$out" | tail -1 | awk '{ for (i = 1; i <= NF; i++) if ($i == "ingest:") print $(i + 2) }')
case $unit in MB, | GB, | TB,) ok ;; *) bad "ingest unit: \"$unit\"" ;; esac
number "compaction GB written" "$(grep '^Cumulative compaction' "$out" | tail -1 | awk '{ print $3 }')"
number "compaction MB/s written" "$(grep '^Cumulative compaction' "$out" | tail -1 | awk '{ print $6 }')"
unit=$(grep '^Cumulative compaction' "$out" | tail -1 | awk '{ print $4 }')
[ "$unit" = GB ] && ok || bad "compaction unit: \"$unit\""
number "flush GB" "$(grep '^Flush(GB)' "$out" | tail -1 | awk '{ print $3 }' | tr -d ,)"
for f in 3 15 16 21 22; do
    number "Sum field $f" "$(grep '^ Sum' "$out" | tail -1 | awk -v f=$f '{ print $f }')"
done
unit=$(grep '^ Sum' "$out" | tail -1 | awk '{ print $4 }')
case $unit in KB | MB | GB | TB) ok ;; *) bad "Sum size unit: \"$unit\"" ;; esac
number "blob size" "$(grep '^Blob file count:' "$out" | tail -1 | awk '{ print $7 }')"
for f in 3 7 9 11; do
    number "Percentiles field $f" "$(grep '^Percentiles:' "$out" | tail -1 | awk -v f=$f '{ print $f }')"
done
number "longest" "$(grep '^Min:' "$out" | tail -1 | awk '{ print $6 }')"
number "date: day" "$(grep '^Date:' "$out" | awk '{ print $4 }')"
number "date: year" "$(grep '^Date:' "$out" | awk '{ print $6 }')"
number "tables are named so that ls finds them" "$(ls "$dir/db" | grep -c sst)"
number "logs are named so that ls finds them" "$(ls "$dir/db" | grep -ci log)"

# The rest of the layout.
line "Keys" '^Keys:       16 bytes each'
line "Values" '^Values:     100 bytes each \(50 bytes after compression\)$'
line "Entries" '^Entries:    20000$'
line "RawSize" '^RawSize:    [0-9.]+ MB \(estimated\)$'
line "dashes" '^-{48}$'
line "DB path" '^DB path: \['
line "found" '\(20000 of 20000 found\)$'
line "result" '^readrandom   : +[0-9]+\.[0-9]{3} micros/op [0-9]+ ops/sec [0-9]+\.[0-9]{3} seconds 20000 operations; +[0-9.]+ MB/s \('
line "histogram" '^Microseconds per read:$'
line "histogram count" '^Count: [0-9]+ Average: [0-9.]+  StdDev: [0-9.]+$'
line "levelstats" '^Level Files Size\(MB\)$'
[ "$(grep -c '^readrandom' "$dir/stdout")" = 1 ] && ok || bad "results go to stdout"
[ "$(grep -c '^Date:' "$dir/stderr")" = 1 ] && ok || bad "the date goes to stderr"
[ "$(head -1 "$dir/report.csv")" = secs_elapsed,interval_qps ] && ok || bad "report file header"
if command -v jq >/dev/null 2>&1; then
    [ "$(jq 'length' "$dir/json")" = 4 ] && ok || bad "JSON has four results"
    [ "$(jq 'all(.[]; .ops_per_sec > 0 and .p50_us <= .p99_us and .p99_us <= .max_us)' "$dir/json")" = true ] &&
        ok || bad "JSON figures"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
