#!/bin/sh
# make demo: real data in, looked up, killed and found again, benchmarked, and what the index costs.
#   tools/demo.sh BUILD_DIR
set -eu
build=${1:-build/release}
omendb=$build/omendb
work=$(mktemp -d "${TMPDIR:-/tmp}/omendb-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }
number() { echo "$1" | sed -n "s/.*\"$2\": *\([0-9.]*\).*/\1/p"; }

say "1. Package catalogue: name -> record"
lists=$(ls /var/lib/apt/lists/*_Packages 2>/dev/null || true)
if [ -n "$lists" ]; then
    echo "from Debian's package lists"
    # shellcheck disable=SC2086
    cat $lists >"$work/records"
else
    echo "there are no package lists here; from dpkg's status file instead"
    cp /var/lib/dpkg/status "$work/records"
fi
# One line a record: its name, a tab, its fields; line ends inside become " | ".
awk 'BEGIN { RS = ""; FS = "\n" }
     { name = ""; for (i = 1; i <= NF; i++) if ($i ~ /^Package: /) name = substr($i, 10)
       gsub(/\t/, " "); gsub(/\n/, " | "); if (name != "") print name "\t" $0 }' \
    "$work/records" >"$work/packages.tsv"
"$omendb" import "$work/packages" "$work/packages.tsv"

say "2. Every path under /usr: size and mode"
find /usr -xdev -printf '%p\t%s %m\n' 2>/dev/null | grep -v '[^[:print:][:space:]]' |
    awk -F '\t' 'NF == 2' >"$work/paths.tsv"
"$omendb" import "$work/paths" "$work/paths.tsv"

say "3. This machine's counters, sampled for three seconds: name/time -> number"
"$build/examples/sampler" "$work/series" 3

say "4. Looking things up"
first=$(head -n 1 "$work/packages.tsv" | cut -f 1)
printf '%s: ' "$first"
"$omendb" get "$work/packages" "$first" | cut -c 1-100
printf '/usr/bin/env: '
"$omendb" get "$work/paths" /usr/bin/env || true
echo "the first paths under /usr/bin/g:"
"$omendb" scan --prefix=/usr/bin/g --limit=4 "$work/paths"

say "5. Killed while writing (kill -9), then opened again"
"$omendb" count "$work/paths" | sed 's/^/before: /'
mkfifo "$work/pipe"
awk -F '\t' 'BEGIN { while (1) { while ((getline line < ARGV[1]) > 0) { split(line, f, "\t"); print f[1] "#" ++n "\t" f[2] } close(ARGV[1]) } }' \
    "$work/paths.tsv" >"$work/pipe" 2>/dev/null &
feeder=$!
"$omendb" import --quiet --batch=100 "$work/killed" "$work/pipe" &
writer=$!
sleep 2
kill -9 $writer
wait $writer 2>/dev/null || true
kill $feeder 2>/dev/null || true
wait $feeder 2>/dev/null || true
"$omendb" count "$work/killed" | sed 's/^/found after the kill: /'
"$omendb" verify "$work/killed"

say "6. A short benchmark: 300,000 entries of 16 + 100 bytes"
"$omendb" bench --benchmarks=fillrandom,readrandom,readmissing,seekrandom,readseq --num=300000 \
    --seek_nexts=10 --db="$work/bench" 2>/dev/null | grep -E '^(fill|read|seek)[a-z]* +:'

say "7. What the block index costs, in bytes a key"
printf '%-18s %9s %9s %13s %13s\n' "data" "keys" "learned" "restart 1" "restart 16"
cut -f 1 "$work/packages.tsv" >"$work/keys.packages"
cut -f 1 "$work/paths.tsv" >"$work/keys.paths"
"$omendb" scan --keys_only --raw "$work/series" >"$work/keys.series"
for data in packages paths series; do
    json=$("$omendb" lab index --keys "$work/keys.$data" --json)
    learned=$(number "$json" index_bytes_per_key)
    one=$(number "$json" restart1_bytes_per_key)
    sixteen=$(number "$json" restart16_bytes_per_key)
    awk -v d="$data" -v k="$(number "$json" keys)" -v l="$learned" -v a="$one" -v b="$sixteen" \
        'BEGIN { printf "%-18s %9d %9.3f %6.3f (%.1fx) %6.3f (%.1fx)\n", d, k, l, a, a / l, b, b / l }'
done
echo "(restart 1 and 16: fence pointers on the same blocks, as RocksDB keeps them by default and tuned)"
