#!/bin/bash
# Runs a command in a small virtual machine that has far memory: a NUMA node with memory and without
# processors, as CXL memory appears on Linux. Software emulation, no root, no network once the kernel
# is there (kernel.sh). Nothing that is measured in it means anything.
#   run.sh [--near MB] [--far MB] [--cxl] [--seconds N] [--file PATH]... [--log] -- COMMAND [ARG...]
#   --near MB    memory of node 0, which has the processors (512)
#   --far MB     memory of node 1 (192); 0: there is no node 1
#   --cxl        it is an emulated CXL device, made system memory through the kernel's own drivers;
#                --far in multiples of 256
#   --file PATH  put into the guest's folder, where the command starts; programs bring their libraries
#   --seconds N  after which the machine is stopped (120)
#   --log        shows the kernel's messages too
# The command runs as root; its output and exit status are this script's. 124: it ran out of time; 125:
# the guest did not come up, or went down under it; 77: what is needed here is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
near=512 far=192 cxl=no seconds=120 log=no
files=()
while [ $# -gt 0 ]; do
    case $1 in
    --near) near=$2; shift 2 ;;
    --far) far=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --file) files+=("$2"); shift 2 ;;
    --cxl) cxl=yes; shift ;;
    --log) log=yes; shift ;;
    --) shift; break ;;
    *) sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 125 ;;
    esac
done
[ $# -gt 0 ] || { echo "run.sh: no command" >&2; exit 125; }
PATH=$PATH:/usr/sbin:/sbin

missing() { echo "run.sh: no $1 here; tools/deps.sh --guest installs it" >&2; exit 77; }
for tool in qemu-system-x86_64 cpio modprobe ldd; do
    command -v $tool >/dev/null || missing $tool
done
busybox=$(command -v busybox) || missing busybox
! ldd "$busybox" >/dev/null 2>&1 || missing "static busybox"
if [ $cxl = yes ]; then
    for tool in cxl ndctl daxctl; do command -v $tool >/dev/null || missing $tool; done
fi
folder=$("$here/kernel.sh") || exit 77
release=$(basename "$folder")
release=${release#linux-image-}
kernel=$folder/boot/vmlinuz-$release

work=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null || true; rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp,modules,w,etc}
cp "$here/init.sh" "$root/init"
chmod +x "$root/init"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
echo 'root:x:0:0::/w:/bin/sh' >"$root/etc/passwd"

# A program and the libraries it names, at the paths where the loader looks for them.
bring() { # program, folder in the guest
    cp -L "$1" "$root/$2/"
    { ldd "$1" 2>/dev/null || true; } | awk '$3 ~ /^\// {print $3} $1 ~ /^\// {print $1}' |
        while read -r library; do
            mkdir -p "$root$(dirname "$library")"
            [ -e "$root$library" ] || cp -L "$library" "$root$library"
        done
}
for file in "${files[@]}"; do bring "$file" w; done

: >"$root/modules/order"
if [ $cxl = yes ]; then
    for tool in cxl ndctl daxctl; do bring "$(command -v $tool)" bin; done
    [ -e "$folder/lib/modules/$release/modules.dep" ] || depmod -b "$folder" "$release"
    for module in cxl_acpi cxl_pci cxl_port cxl_mem cxl_pmem dax_pmem device_dax kmem nd_pmem; do
        modprobe -C /dev/null -d "$folder" -S "$release" --show-depends $module |
            awk '$1 == "insmod" {print $2}'
    done | awk '!seen[$0]++' | while read -r module; do
        cp "$module" "$root/modules/"
        basename "$module" >>"$root/modules/order"
    done
    cat >"$root/setup" <<'SETUP'
cxl create-region -m -t pmem -d decoder0.0 -w 1 -g 1024 mem0 &&
    ndctl create-namespace -m devdax -M mem -f &&
    daxctl reconfigure-device --mode=system-ram -f dax0.0
SETUP
fi
{
    echo 'cd /w && export HOME=/w TMPDIR=/tmp PATH=/bin:/w'
    printf 'exec'
    printf ' %q' "$@"
    echo
} >"$root/command"
# Not compressed: the emulated processor would be slow to unpack it.
(cd "$root" && find . -print0 | cpio -0 -o -H newc --quiet) >"$work/initrd"

options=(-accel tcg,thread=multi -cpu max -smp 2 -nodefaults -no-user-config -no-reboot -display none
    -monitor none -serial "file:$work/console" -serial stdio -kernel "$kernel" -initrd "$work/initrd"
    -append "console=ttyS0 panic=-1 quiet loglevel=4 mitigations=off rcupdate.rcu_expedited=1"
    -object "memory-backend-ram,id=near,size=${near}M")
if [ $cxl = yes ]; then
    truncate -s "${far}M" "$work/device"
    truncate -s 1M "$work/labels"
    # The second root port: with a single one Linux takes the host bridge as passing everything through
    # and sets up no decoder in it; this emulator then drops writes and reads zeros.
    options+=(-machine q35,cxl=on -m "$near,maxmem=$((near + 8192))M,slots=4"
        -numa node,nodeid=0,memdev=near,cpus=0-1
        -object "memory-backend-file,id=device,share=on,mem-path=$work/device,size=${far}M"
        -object "memory-backend-file,id=labels,share=on,mem-path=$work/labels,size=1M"
        -device pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1
        -device cxl-rp,port=0,bus=cxl.1,id=root_port,chassis=0,slot=2
        -device cxl-rp,port=1,bus=cxl.1,id=other_port,chassis=0,slot=3
        -device cxl-type3,bus=root_port,memdev=device,lsa=labels,id=type3
        -M cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G)
elif [ "$far" = 0 ]; then
    options+=(-machine q35 -m "${near}M" -numa node,nodeid=0,memdev=near,cpus=0-1)
else
    lb=hmat-lb,initiator=0,hierarchy=memory
    options+=(-machine q35,hmat=on -m "$((near + far))M"
        -object "memory-backend-ram,id=far,size=${far}M"
        -numa node,nodeid=0,memdev=near,cpus=0-1,initiator=0
        -numa node,nodeid=1,memdev=far,initiator=0
        -numa dist,src=0,dst=1,val=24 -numa dist,src=1,dst=0,val=24
        -numa $lb,target=0,data-type=access-latency,latency=90
        -numa $lb,target=0,data-type=access-bandwidth,bandwidth=100G
        -numa $lb,target=1,data-type=access-latency,latency=250
        -numa $lb,target=1,data-type=access-bandwidth,bandwidth=20G)
fi
timeout -k 5 "$seconds" qemu-system-x86_64 "${options[@]}" </dev/null 2>"$work/errors" &
machine=$!
ended=0
wait "$machine" || ended=$?
machine=

tr -d '\r' <"$work/console" >"$work/messages" 2>/dev/null || : >"$work/messages"
[ $log = no ] || cat "$work/messages" >&2
status=$(sed -n 's/^.*guest: status \([0-9]*\)$/\1/p' "$work/messages" | tail -n 1)
[ -z "$status" ] || exit "$status"
[ $log = yes ] || tail -n 20 "$work/messages" >&2
cat "$work/errors" >&2
if [ $ended = 124 ] || [ $ended = 137 ]; then
    echo "run.sh: the guest ran past $seconds s" >&2
    exit 124
fi
echo "run.sh: the guest ended without a status" >&2
exit 125
