#!/bin/sh
# Make a Debian with libvirt, QEMU and a kernel for a guest in a directory, for the test
# in this package. Nothing is installed on the machine itself, and nothing is started.
#
#   root.sh DIRECTORY [MIRROR]
set -eu
root=$1
mirror=${2:-http://deb.debian.org/debian}
[ ! -e "$root/.complete" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "root.sh: run as root" >&2
	exit 1
fi
rm -rf "$root.part"
mkdir -p "$root.part"
debootstrap --variant=minbase bookworm "$root.part" "$mirror"
printf '#!/bin/sh\nexit 101\n' >"$root.part/usr/sbin/policy-rc.d"
chmod 755 "$root.part/usr/sbin/policy-rc.d"
# A machine behind a proxy or a mirror of its own says so to apt here.
for file in /etc/apt/apt.conf.d/*prox*; do
	[ ! -e "$file" ] || cp "$file" "$root.part/etc/apt/apt.conf.d/"
done
# shellcheck disable=SC2016 # expanded inside
unshare --mount --pid --fork sh -euc '
	mount -t proc proc "$0/proc"
	export DEBIAN_FRONTEND=noninteractive
	chroot "$0" apt-get -q update
	chroot "$0" apt-get -q install -y --no-install-recommends \
		openvswitch-switch libvirt-daemon-system libvirt-clients qemu-system-x86 \
		iproute2 busybox-static linux-image-cloud-amd64
	chroot "$0" apt-get -q clean
' "$root.part"
touch "$root.part/.complete"
rm -rf "$root"
mv "$root.part" "$root"
