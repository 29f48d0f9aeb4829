#!/bin/sh
# Make a disk of a Debian with Open vSwitch and a kernel, for a virtual machine in which
# tests run. Nothing is installed on this machine itself, and nothing is started.
#
#   image.sh SUITE DIRECTORY [MIRROR]
#
# DIRECTORY/SUITE then holds disk, kernel, initrd and versions. What is there already is
# kept while it has the packages' newest versions, or when the mirror doesn't answer.
set -eu
suite=$1
mirror=${3:-http://deb.debian.org/debian}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
packages="openvswitch-switch openvswitch-switch-dpdk linux-image-cloud-amd64 iproute2 kmod iputils-ping iputils-arping nftables netbase"

# The machine's first process unpacks the second disk and runs what it finds there.
init() {
	cat <<-'END'
		#!/bin/sh
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys 2>/dev/null
		mount -t devtmpfs devtmpfs /dev 2>/dev/null
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /tmp
		ip link set lo up
		mkdir /run/job
		cd /run/job
		tar xf /dev/vdb && sh ./job
		echo o >/proc/sysrq-trigger
		sleep 60
	END
}

# newest prints the packages with the versions that the mirror has.
newest() {
	mkdir -p "$work/lists/partial" "$work/archives/partial"
	echo "deb [signed-by=$keys] $mirror $suite main" >"$work/sources.list"
	: >"$work/status"
	set -- -o Dir::State="$work" -o Dir::State::status="$work/status" -o Dir::State::lists="$work/lists" -o Dir::Cache="$work" \
		-o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o APT::Architecture=amd64 -o APT::Sandbox::User=root
	apt-get "$@" -qq update >&2 || return 1
	# shellcheck disable=SC2086 # a list of words
	apt-cache "$@" show --no-all-versions $packages | sed -n 's/^Package: //p; s/^Version: / /p' | paste -d '' - -
}

if [ "$(id -u)" -ne 0 ]; then
	echo "image.sh: run as root" >&2
	exit 1
fi
mkdir -p "$2"
images=$(cd "$2" && pwd)
image=$images/$suite
work=$(mktemp -d "$images/$suite.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if newest >"$work/packages" && [ "$(wc -l <"$work/packages")" = "$(echo "$packages" | wc -w)" ]; then
	{ cat "$work/packages"; sha256sum <"$0"; } >"$work/versions"
	if cmp -s "$work/versions" "$image/versions"; then
		exit 0
	fi
elif [ -e "$image/versions" ]; then
	echo "image.sh: $mirror doesn't say which packages $suite has; the machine stays as it is" >&2
	exit 0
else
	echo "image.sh: $mirror doesn't say which packages $suite has" >&2
	exit 1
fi

echo "Making a machine with $suite:" $(cat "$work/packages")
root=$work/root new=$work/new
if ! debootstrap --variant=minbase --keyring="$keys" --include="$(echo "$packages" | tr ' ' ,)" "$suite" "$root" "$mirror" >"$work/log" 2>&1; then
	tail -20 "$work/log" >&2
	echo "image.sh: debootstrap of $suite from $mirror failed" >&2
	exit 1
fi
init >"$root/init"
chmod 755 "$root/init"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
mkdir "$new"
cp "$root"/boot/vmlinuz-* "$new/kernel"
cp "$root"/boot/initrd.img-* "$new/initrd"
cp "$work/versions" "$new/versions"
truncate -s 2G "$new/disk"
mke2fs -q -t ext4 -d "$root" "$new/disk"
rm -rf "$image"
mv "$new" "$image"
