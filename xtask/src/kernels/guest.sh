# What every job begins with: what an init system would have done, and a way to say what is at work.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec </dev/null >/dev/ttyS1 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p "/lib/modules/$(uname -r)"
mount --bind "$modules" "/lib/modules/$(uname -r)"
# Kernels differ in which of them they load by themselves.
modprobe --all dummy tcp_diag udp_diag veth tun
ip link set lo up
ip link add dummy0 type dummy && ip link set dummy0 up

echo "== booted in $(cut -d. -f1 /proc/uptime) s"
