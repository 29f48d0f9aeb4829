#!/bin/sh
# Install the Debian packages that are missing for what the arguments name:
#
#   demo   Open vSwitch and the programs that guests run
#   test   the same: what the tests need
#   bench  what the benchmarks compare with: OVN
#   race   a C compiler, which Go's race detector needs
#   guides what makes a Debian with libvirt in a directory
#   datapath what makes virtual machines and runs them
#   deb    what builds the Debian package, and what checks it
#   lab    a Docker engine, docker-compose and debootstrap, for the container lab
#
# Nothing happens when nothing is missing. No service is started: the demo, the tests
# and the benchmarks run daemons of their own. The one exception is a Docker engine that
# "lab" installs: that one is started, with containerd, which it needs.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
need() { # PROGRAM-OR-FILE PACKAGE
	case $1 in
	/*) [ ! -e "$1" ] || return 0 ;;
	*) ! command -v "$1" >/dev/null || return 0 ;;
	esac
	case " $missing " in
	*" $2 "*) ;;
	*) missing="$missing $2" ;;
	esac
}

[ $# -gt 0 ] || set -- demo
for purpose; do
	case $purpose in
	demo | test)
		need ovs-vswitchd openvswitch-switch
		need ovsdb-server openvswitch-switch
		need ovs-ofctl openvswitch-switch
		need ip iproute2
		need ping iputils-ping
		need arping iputils-arping
		need nft nftables
		;;
	bench)
		need ovs-vswitchd openvswitch-switch
		need ovsdb-server openvswitch-switch
		need ovs-ofctl openvswitch-switch
		need ovn-northd ovn-central
		need ovn-nbctl ovn-common
		need ovn-controller ovn-host
		need unshare util-linux
		need ping iputils-ping
		;;
	race)
		need gcc gcc
		need /usr/include/stdlib.h libc6-dev
		;;
	guides)
		need debootstrap debootstrap
		need unshare util-linux
		need nsenter util-linux
		;;
	datapath)
		need qemu-system-x86_64 qemu-system-x86
		need debootstrap debootstrap
		need /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
		need mke2fs e2fsprogs
		;;
	deb)
		need dpkg-buildpackage dpkg-dev
		need dh debhelper
		need lintian lintian
		need debootstrap debootstrap
		;;
	lab)
		need docker docker.io
		# Compose is a plugin of docker, or a program.
		docker compose version >/dev/null 2>&1 || need docker-compose docker-compose
		# Only where no registry has the base image.
		docker image inspect debian:bookworm-slim >/dev/null 2>&1 || need debootstrap debootstrap
		;;
	*)
		echo "deps.sh: unknown purpose \"$purpose\" (its first lines list them)" >&2
		exit 2
		;;
	esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps.sh: these packages of Debian are missing, and there is no apt-get to install them:$missing" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "deps.sh: these packages are missing:$missing" >&2
	echo "deps.sh: install them with: sudo packaging/deps.sh $*" >&2
	exit 1
fi

# Debian starts services as it installs them, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [ -e "$policy" ]; then
	answer=0
	"$policy" openvswitch-switch start >/dev/null 2>&1 || answer=$?
	case "$answer$missing" in
	101*) ;;
	*openvswitch-switch* | *ovn-*)
		echo "deps.sh: installing these would start services, as $policy allows; install them yourself: apt-get install$missing" >&2
		exit 1
		;;
	esac
else
	mark="by vifguard's packaging/deps.sh, for as long as it runs"
	trap '! grep -qs "$mark" "$policy" || rm -f "$policy"' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	(
		set -C # never over one that has appeared meanwhile
		printf '#!/bin/sh\n# %s\n' "$mark" >"$policy"
	)
	case "$missing " in
	*" docker.io "*) printf 'case $1 in containerd | docker) exit 0 ;; esac\n' >>"$policy" ;;
	esac
	echo 'exit 101' >>"$policy"
	chmod 755 "$policy"
fi

echo "Installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086 # a list of words
apt-get -qq install -y --no-install-recommends $missing >/dev/null
