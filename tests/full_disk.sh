#!/bin/sh
# A file system of 48 MiB on a loop device, filled by tests/full_disk again and again. Needs root.
#   tests/full_disk.sh BUILD_DIR [FILLS [SEED]]
set -u
build=${1:?build directory}
fills=${2:-100}
seed=${3:-$(date +%s)}
PATH=$PATH:/sbin:/usr/sbin
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 0; }
command -v mkfs.ext4 >/dev/null || { echo "skipped: no mkfs.ext4"; exit 0; }
base=$(mktemp -d "${TMPDIR:-/tmp}/omendb-full.XXXXXX") || exit 1
finish() {
    umount "$base/mount" 2>/dev/null
    rm -f "$base/image"
    rmdir "$base/mount" "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM
mkdir "$base/mount"
truncate -s 48M "$base/image"
mkfs.ext4 -q -m 0 "$base/image" || exit 1
mount -o loop,noatime "$base/image" "$base/mount" || { echo "skipped: no loop mounts"; exit 0; }
"$build/tests/full_disk" --dir "$base/mount" --fills "$fills" --seed "$seed"
