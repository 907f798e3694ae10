#!/bin/sh
# Anonymous memory through fill, compact and read stays within the budget and 15 %.
#   bench/check_rss.sh [BUILD_DIR]
set -eu
build=${1:-build/release}
work=$(mktemp -d "${TMPDIR:-/tmp}/omendb-rss.XXXXXX")
trap 'rm -rf "$work"' EXIT
bad=0
for mib in 64 256; do
    "$build/omendb" bench --benchmarks=fillrandom,compact,readrandom,readseq --num=3000000 --reads=300000 \
        --omendb_options="memory_bytes=${mib}M" --db="$work/db" >/dev/null 2>&1 &
    pid=$!
    peak=0
    while kill -0 $pid 2>/dev/null; do
        now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)
        [ "${now:-0}" -gt "$peak" ] && peak=$now
        sleep 0.02
    done
    wait $pid
    limit=$((mib * 1024 * 115 / 100))
    verdict=ok
    [ "$peak" -le "$limit" ] || { verdict="TOO MUCH" && bad=1; }
    printf 'memory_bytes %4d MiB: peak %6.1f MiB of anonymous memory, limit %6.1f: %s\n' "$mib" \
        "$(echo "$peak" | awk '{ print $1 / 1024 }')" "$(echo "$limit" | awk '{ print $1 / 1024 }')" "$verdict"
    rm -rf "$work/db"
done
exit $bad
