#!/bin/sh
# The guest's first process: mounts, modules, /setup, then /command with its output on the second serial
# line; what became of it goes to the first.
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null
end() {
    echo "guest: $*" >/dev/ttyS0
    sync
    poweroff -f
}
while read -r module; do
    insmod "/modules/$module" 2>/dev/ttyS0 || end "module $module cannot be loaded"
done </modules/order
stty -F /dev/ttyS1 raw -echo
if [ -e /setup ]; then
    sh /setup >/dev/ttyS0 2>&1 || end "the set-up failed"
fi
sh /command </dev/null >/dev/ttyS1 2>&1
status=$?
sleep 0.1 # for the serial line
end "status $status"
