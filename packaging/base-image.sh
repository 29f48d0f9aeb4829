#!/bin/sh
# Make the Docker image debian:bookworm-slim out of Debian's packages, for tests on
# machines that reach Debian's mirror but no registry:
#
#   base-image.sh           make the image unless it is there; say which it is
#   base-image.sh remove    remove it if this script made it and nothing uses it
#
# MIRROR overrides where packages come from. It needs root, debootstrap and docker.
set -eu

image=debian:bookworm-slim
label=vifguard.made-by=base-image.sh # what tells our image from one that was pulled
mirror=${MIRROR:-http://deb.debian.org/debian}

case ${1:-make} in
make) ;;
remove)
	[ -n "$(docker image ls -q --filter "label=$label" "$image")" ] || exit 0
	# Docker would take the tag away from under images that were built on it.
	first='{{index .RootFS.Layers 0}}'
	layer=$(docker image inspect -f "$first" "$image")
	users=$(docker image ls -aq | sort -u | xargs docker image inspect -f "$first {{.Id}}" | grep -c "^$layer ")
	if [ "$users" -gt 1 ] || ! docker rmi "$image" >/dev/null 2>&1; then
		echo "base-image.sh: $image stays: it is in use" >&2
	fi
	exit 0
	;;
*)
	echo "base-image.sh: unknown argument \"$1\" (want remove, or nothing)" >&2
	exit 2
	;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# One at a time: tests that run side by side share the image.
exec 9>"${TMPDIR:-/tmp}/vifguard-base-image.lock"
flock 9
if [ -z "$(docker image ls -q "$image")" ]; then
	root=$work/root
	if ! debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror" >"$work/log" 2>&1; then
		tail -20 "$work/log" >&2
		echo "base-image.sh: debootstrap from $mirror failed" >&2
		exit 1
	fi
	cat >"$root/etc/apt/sources.list" <<-END
		deb $mirror bookworm main
		deb $mirror bookworm-updates main
	END
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
	tar -C "$root" -c . | docker import -c "LABEL $label" -c 'CMD ["bash"]' - "$image" >/dev/null
fi
echo "$image"
