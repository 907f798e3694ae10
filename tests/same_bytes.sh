#!/bin/sh
# The index bytes of every generator are the same from gcc -O0, gcc -O3 -march=native and clang -O2.
#   tests/same_bytes.sh BUILD_DIR
set -eu
build=${1:?build directory}
mkdir -p "$build"
sources="tests/index_digest.c tools/keyset.c tests/model.c learned/*.c io/base/*.c"
compile() {
    name=$1
    shift
    # shellcheck disable=SC2086
    "$@" -std=c17 -D_GNU_SOURCE -I. -ffp-contract=off -fno-strict-aliasing $sources -o "$build/$name" -lm -lxxhash -pthread
    "$build/$name" >"$build/$name.digest"
}
compile gcc-O0 gcc -O0
compile gcc-O3 gcc -O3 -march=native
command -v clang >/dev/null && compile clang-O2 clang -O2
bad=0
for digest in "$build"/*.digest; do
    cmp -s "$build/gcc-O0.digest" "$digest" || {
        echo "$digest differs:"
        diff "$build/gcc-O0.digest" "$digest" || true
        bad=1
    }
done
cat "$build/gcc-O0.digest"
[ $bad -eq 0 ] && echo "index bytes are the same from $(ls "$build"/*.digest | wc -l) compilers"
exit $bad
