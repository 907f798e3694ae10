#!/bin/sh
# What part of the library's lines a coverage build has run, by file and folder.
#   tests/coverage.sh BUILD_DIR [PERCENT]     fails below PERCENT (90) of any folder's lines
set -eu
build=${1:?build directory}
least=${2:-90}
for folder in lsm learned compaction io io/base memtier; do
    for notes in "$build/$folder"/*.gcno; do
        gcov -n -o "$build/$folder" "$notes" 2>/dev/null
    done
done | awk -v least="$least" '
    /^File / { name = $2; gsub(/\047/, "", name) }
    /^Lines executed:/ {
        if (name ~ /^(lsm|learned|compaction|io|memtier)\/.*\.c$/ && !(name in lines)) {
            split($0, part, /[:% ]+/)
            lines[name] = part[5]
            run[name] = part[3] * part[5] / 100
        }
        name = ""
    }
    END {
        for (name in lines) {
            folder = name
            sub(/\/.*/, "", folder)
            all[folder] += lines[name]
            hit[folder] += run[name]
            printf "%6.1f %% of %5d  %s\n", 100 * run[name] / lines[name], lines[name], name | "sort -n"
        }
        close("sort -n")
        for (folder in all) {
            share = 100 * hit[folder] / all[folder]
            printf "coverage: %-10s %5.1f %% of %5d lines\n", folder, share, all[folder]
            if (share < least) { printf "coverage: %s is below %d %%\n", folder, least; bad = 1 }
        }
        exit bad
    }'
