#!/bin/sh
# Prints the folder of a guest kernel, taken out of Debian's linux-image package (nothing of it is
# installed on this machine); fetches it the first time, which needs apt and the network.
#   tests/guest/kernel.sh
# GUEST_CACHE   where it is kept (default: XDG_CACHE_HOME or ~/.cache, /omendb-guest)
# GUEST_KERNEL  the package, such as linux-image-6.1.0-56-amd64 (default: what linux-image-amd64 needs).
#               It has to handle memory failures; the "cloud" kernels do not.
set -eu
cache=${GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/omendb-guest}
mkdir -p "$cache"

newest_kept() {
    for ready in "$cache"/linux-image-*/ready; do
        [ -e "$ready" ] && dirname "$ready"
    done | sort -V | tail -n 1
}
needed_by_debian() {
    apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends:/ {print $2; exit}'
}

package=${GUEST_KERNEL:-}
if [ -z "$package" ]; then
    kept=$(newest_kept)
    if [ -n "$kept" ]; then
        echo "$kept"
        exit 0
    fi
    command -v apt-cache >/dev/null || { echo "kernel.sh: no apt here to fetch a kernel with" >&2; exit 77; }
    package=$(needed_by_debian)
    [ -n "$package" ] || { apt-get -qq update >/dev/null 2>&1 || true; package=$(needed_by_debian); }
    [ -n "$package" ] || { echo "kernel.sh: apt knows no linux-image-amd64" >&2; exit 77; }
fi
if [ ! -e "$cache/$package/ready" ]; then
    work=$(mktemp -d "$cache/fetching.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (
        cd "$work"
        apt-get -qq -o APT::Sandbox::User=root download "$package" >log 2>&1 ||
            { apt-get -qq update >>log 2>&1 && apt-get -qq -o APT::Sandbox::User=root download "$package" >>log 2>&1; }
    ) || { tail -n 3 "$work/log" >&2; echo "kernel.sh: cannot download $package" >&2; exit 77; }
    dpkg-deb -x "$work"/*.deb "$work/root"
    touch "$work/root/ready"
    # Another run may have been first.
    mv -T "$work/root" "$cache/$package" 2>/dev/null || [ -e "$cache/$package/ready" ]
fi
echo "$cache/$package"
