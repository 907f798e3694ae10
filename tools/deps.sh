#!/bin/sh
# Installs what building and testing needs, from Debian's packages. Quick when all is there.
#   tools/deps.sh [--peers] [--ci] [--guest]
#   --peers  also the databases that bench/ measures against
#   --ci     also clang, sanitizers' runtimes, a cross compiler, checkers, file systems to crash
#   --guest  also what runs a virtual machine with far memory (make guest-check), and its kernel
set -eu
guest=
packages="gcc g++ make pkg-config git liburing-dev libzstd-dev libxxhash-dev libnuma-dev libcriterion-dev"
for arg in "$@"; do
    case $arg in
    --peers) packages="$packages librocksdb-dev" ;;
    --ci) packages="$packages clang clang-format libclang-rt-14-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross mandoc binutils e2fsprogs xfsprogs mount" ;;
    --guest)
        packages="$packages qemu-system-x86 busybox-static cpio kmod ndctl daxctl"
        guest=yes
        ;;
    -h | --help)
        sed -n '2,6s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "deps.sh: unknown argument $arg; see --help" >&2
        exit 2
        ;;
    esac
done
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
        missing="$missing $package"
done
kernel_fetch() {
    [ -z "$guest" ] || "$(dirname "$0")/../tests/guest/kernel.sh"
}
if [ -z "$missing" ]; then
    kernel_fetch
    exit
fi
if ! command -v apt-get >/dev/null; then
    echo "deps.sh: needs these packages, and apt-get is not here to install them:$missing" >&2
    exit 1
fi
run=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps.sh: run as root, or install sudo, or install by hand:$missing" >&2
        exit 1
    fi
    run=sudo
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq
# shellcheck disable=SC2086
$run apt-get install -y -qq --no-install-recommends $missing >/dev/null
kernel_fetch
