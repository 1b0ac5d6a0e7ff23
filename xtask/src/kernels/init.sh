#!/bin/busybox sh
# The first process of a kernel under test: the files of the machine that runs it become the root, writes go to memory.
/bin/busybox mkdir -p /proc /dev /lower /cover /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in /*.ko; do /bin/busybox insmod "$module" || echo "$module does not load"; done
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 root /lower
/bin/busybox mount -t tmpfs -o size=75% cover /cover
/bin/busybox mkdir /cover/upper /cover/work
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/cover/upper,workdir=/cover/work overlay /root
/bin/busybox mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp
/bin/busybox mount --move /dev /root/dev
job=$(/bin/busybox cat /job)
/bin/busybox umount /proc
exec /bin/busybox switch_root /root /bin/bash "$job"
