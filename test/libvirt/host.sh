#!/bin/sh
# Become libvirtd's host: run as the first process of new mount, PID, IPC and UTS
# namespaces, inside the network namespace of the switch.
#
#   host.sh ROOT WORK OVS-RUNDIR
#
# ROOT, made by root.sh, is never written to. Everything ends with this process.
set -eu
root=$1 work=$2 ovs=$3
mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
r=$work/root
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" "$r"
mount -t proc proc "$r/proc"
mount -t sysfs sysfs "$r/sys"
mount -t tmpfs tmpfs "$r/run"
mount -t tmpfs -o mode=755 tmpfs "$r/dev"
mkdir "$r/dev/net" "$r/dev/pts" "$r/dev/shm" "$r/run/openvswitch"
mknod -m 666 "$r/dev/null" c 1 3
mknod -m 666 "$r/dev/zero" c 1 5
mknod -m 666 "$r/dev/random" c 1 8
mknod -m 666 "$r/dev/urandom" c 1 9
mknod -m 666 "$r/dev/net/tun" c 10 200
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$r/dev/pts"
ln -s pts/ptmx "$r/dev/ptmx"
ln -s /proc/self/fd "$r/dev/fd"
mount --bind "$ovs" "$r/run/openvswitch"
hostname libvirt-host
cp "$ovs/guest/vifguard" "$r/usr/sbin/"
mkdir -p "$r/etc/libvirt/hooks"
cp "$ovs/guest/qemu" "$r/etc/libvirt/hooks/"
rm -rf "$r/etc/libvirt/qemu/networks/autostart"
# No cgroups, users and labels: the namespaces are enough here.
cat >"$r/etc/libvirt/qemu.conf" <<END
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
remember_owner = 0
END
echo 'auth_unix_rw = "none"' >"$r/etc/libvirt/libvirtd.conf"
# The first process reaps what others leave behind.
exec chroot "$r" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -c '
	trap "" HUP
	libvirtd -d
	while :; do sleep 3600 & wait $!; done'
