#!/bin/sh
# Databases of earlier formats open and read as they were written. They are kept in tests/golden/, made by
# the release that had the format, and never changed.
#   tests/golden.sh OMENDB
set -u
omendb=${1:?the omendb program}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0
for golden in tests/golden/format-*/; do
    name=$(basename "$golden")
    cp -r "$golden" "$dir/$name"
    if "$omendb" verify "$dir/$name" >"$dir/out" 2>&1 &&
        "$omendb" export --escape "$dir/$name" >"$dir/export" 2>>"$dir/out" &&
        cmp -s "$dir/export" "tests/golden/$name.export"; then
        echo "ok $name: $(wc -l <"$dir/export") entries"
    else
        echo "FAILED $name"
        cat "$dir/out"
        bad=1
    fi
done
exit $bad
