#!/usr/bin/env bash
# What far memory costs and gives, over the ns that a far line costs more: tables on stdout, lines of JSON
# and curves beside them.
#   bench/tier.sh [BUILD_DIR [OUT_DIR [FLAGS of bench/tier_bench...]]]
# On a machine with a far node: bench/tier.sh build/release out --far-node 1. Exit code 3: the machine is
# too busy to measure anything; nothing else may run beside it.
set -euo pipefail
build=${1:-build/release}
out=${2:-$build/tier}
shift $(($# < 2 ? $# : 2))
mkdir -p "$out"
db=$(mktemp -d "${TMPDIR:-/tmp}/omendb-tier.XXXXXX")
trap 'rm -rf "$db"' EXIT
"$build/bench/tier_bench" "$db/db" --json "$out/tier.jsonl" --svg "$out/tier.svg" "$@" |
    tee "$out/tier.txt"
