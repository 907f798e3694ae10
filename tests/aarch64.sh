#!/bin/sh
# Compiles the library for aarch64. The four libraries' headers do not depend on the machine, so they are
# taken from this one; nothing is linked.
#   tests/aarch64.sh BUILD_DIR
set -eu
build=${1:?build directory}
cc=${CROSS_CC:-aarch64-linux-gnu-gcc}
command -v "$cc" >/dev/null || {
    echo "aarch64: $cc is missing; tools/deps.sh --ci installs it" >&2
    exit 1
}
mkdir -p "$build/include"
for header in liburing.h liburing zstd.h zstd_errors.h xxhash.h numa.h numaif.h; do
    [ -e "/usr/include/$header" ] && ln -sfn "/usr/include/$header" "$build/include/$header"
done
count=0
for source in lsm/*.c compaction/*.c learned/*.c memtier/*.c io/*.c io/base/*.c; do
    "$cc" -std=c17 -D_GNU_SOURCE -I. -isystem "$build/include" -O2 -fPIC -Wall -Wextra -Werror -pthread \
        -c "$source" -o "$build/$(echo "$source" | tr / _).o"
    count=$((count + 1))
done
echo "aarch64: $count files compile"
