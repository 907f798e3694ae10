#!/bin/sh
# Header, version script and library agree; the header is C99 and C++ as well.
#   tests/symbols.sh BUILD_DIR
set -u
build=${1:?build directory}
bad=0
grep -oE 'omen_[a-z0-9_]+\(' lsm/omendb.h | tr -d '(' | sort -u >"$build/header.syms"
# Calls only: names in the header that are followed by a bracket in a declaration.
awk '/OMEN_API/{p=1} p{print} /;/{p=0}' lsm/omendb.h | grep -oE 'omen_[a-z0-9_]+\(' | tr -d '(' |
    sort -u >"$build/header.syms"
nm -D --defined-only "$build/libomendb.so" | awk '$2 ~ /[TDBR]/ {print $3}' | sed 's/@.*//' |
    grep -v '^OMENDB_' | sort -u >"$build/library.syms"
if ! diff -u "$build/header.syms" "$build/library.syms"; then
    echo "the header (-) and the library (+) do not agree"
    bad=1
fi
printf '#include "lsm/omendb.h"\nint main(void) { return omen_version() == 0; }\n' >"$build/header_test.c"
${CC:-cc} -std=c99 -pedantic -Wall -Wextra -Werror -I. -fsyntax-only "$build/header_test.c" || bad=1
if command -v c++ >/dev/null; then
    c++ -x c++ -std=c++11 -pedantic -Wall -Wextra -Werror -I. -fsyntax-only "$build/header_test.c" || bad=1
fi
# Relocations read-only before main, no executable stack, the tool at no fixed address.
for file in "$build/libomendb.so" "$build/omendb"; do
    notes=$(readelf -Wld "$file")
    for want in GNU_RELRO 'NOW' 'GNU_STACK.*RW '; do
        echo "$notes" | grep -qE "$want" || { echo "$file lacks $want" && bad=1; }
    done
done
readelf -h "$build/omendb" | grep -q 'DYN' || { echo "omendb is not position-independent" && bad=1; }
[ $bad -eq 0 ] && echo "symbols: $(wc -l <"$build/header.syms") calls, all exported, nothing else"
exit $bad
