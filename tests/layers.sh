#!/bin/sh
# Includes point down only; the system is called in io/ only, but for memory on nodes and its clock
# (memtier/); file names are unique.
set -u
bad=0
complain() {
    printf '%s\n' "$*"
    bad=1
}

# folder: what its files may include of ours
allow() {
    folder=$1
    shift
    for file in "$folder"/*.[ch]; do
        [ -f "$file" ] || continue
        grep -oE '^#include "[^"]+"' "$file" | sed 's/#include "\(.*\)"/\1/' | while read -r inc; do
            ok=no
            for prefix in "$folder/" "$@"; do
                case $inc in "$prefix"*) ok=yes ;; esac
            done
            [ $ok = yes ] || printf '%s includes %s\n' "$file" "$inc"
        done
    done
}
found=$(
    allow io/base lsm/omendb.h
    allow io lsm/omendb.h
    allow memtier io/base/ lsm/omendb.h
    allow learned io/base/ lsm/omendb.h
    allow compaction learned/ io/ lsm/omendb.h
    allow lsm compaction/ learned/ memtier/ io/
    for file in tools/*.[ch]; do
        # measure, test, or ask the insides
        case $file in tools/lab_* | tools/stress* | tools/doctor_* | tools/tune* | tools/cmd_tune*) continue ;; esac
        grep -oE '^#include "(lsm|compaction|learned|memtier|io)/[^"]+"' "$file" |
            grep -v '"lsm/omendb.h"' | sed "s,^,$file: ,"
    done
)
[ -z "$found" ] || complain "$found"

strays=$(grep -nE '(^|[^a-z_>.])(open|openat|pread|pwrite|fsync|fdatasync|rename|renameat|unlink|unlinkat|clock_gettime|pthread_create|getrandom|mmap|fopen)\(' \
    lsm/*.c compaction/*.c learned/*.c memtier/*.c | grep -v '^[^:]*:[0-9]*: *\*' |
    grep -vE '^memtier/(place|nodes|far_clock|far_guard)\.c:')
[ -z "$strays" ] || complain "system calls outside io/:
$strays"

twice=$(find io lsm compaction learned memtier tools tests bench -name '*.[ch]' -not -path '*/build/*' |
    sed 's,.*/,,' | sort | uniq -d)
[ -z "$twice" ] || complain "file names that are not unique: $twice"
[ $bad -eq 0 ] && echo "layers: includes point down, the system is called where it may be"
exit $bad
