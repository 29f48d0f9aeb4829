#!/bin/sh
# Make the Debian package of what make has built:
#
#   deb.sh BUILT OUTPUT
#
# BUILT holds vifguard and man/; the package goes to OUTPUT. VERSION is what git describe
# says of the source, or empty.
set -eu
built=$(realpath "$1")
mkdir -p "$2"
output=$(realpath "$2")
cd "$(dirname "$0")/.."

# debian_version turns what git describe says into a version that sorts as it should:
# 1.2.0~rc1 < 1.2.0 < 1.2.0+3.gabcdef0 < 1.2.1, and anything without a tag before all of
# them, by date.
debian_version() {
	case $1 in
	'') echo '0~unversioned' ;;
	v[0-9]*.* | [0-9]*.*)
		echo "$1" | sed -E 's/^v//; s/-dirty$/+dirty/; s/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/; s/-/~/g'
		;;
	*)
		date=$(git show -s --format=%cd --date=format:%Y%m%d 2>/dev/null) || date=0
		echo "0~git$date.$1" | sed 's/-/+/g'
		;;
	esac
}

# notices prints what the licences of all that is linked in want to be handed on.
notices() {
	printf '=== %s: LICENSE\n\n%s\n\n' "$(go env GOVERSION)" "$(cat "$(go env GOROOT)/LICENSE")"
	go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/vifguard | sort -u |
		while read -r module version dir; do
			ls "$dir"/LICENSE* >/dev/null # or fail
			for file in "$dir"/LICENSE* "$dir"/NOTICE*; do
				[ ! -f "$file" ] || printf '=== %s %s: %s\n\n%s\n\n' "$module" "$version" "${file##*/}" "$(cat "$file")"
			done
		done
}

version=$(debian_version "${VERSION:-}")
if ! dpkg --validate-version "$version"; then
	echo "deb.sh: VERSION=${VERSION:-} gives no version that Debian takes" >&2
	exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
tree=$work/vifguard
mkdir -p "$tree/built/docs" "$tree/built/completions/bash" "$tree/built/completions/zsh" "$tree/built/completions/fish"
cp -R packaging/debian "$tree/"
cp packaging/systemd/vifguard.service "$tree/debian/"
cp -R packaging/systemd/examples "$tree/built/"
cp packaging/prometheus/alerts.yml packaging/grafana/vifguard.json "$tree/built/examples/"
cp -R "$built/man" "$tree/built/"
cp "$built/vifguard" "$tree/built/"
cp README.md docs/*.md "$tree/built/docs/"
notices >"$tree/built/docs/third-party-notices"
"$built/vifguard" completion bash >"$tree/built/completions/bash/vifguard"
"$built/vifguard" completion zsh >"$tree/built/completions/zsh/_vifguard"
"$built/vifguard" completion fish >"$tree/built/completions/fish/vifguard.fish"

: "${SOURCE_DATE_EPOCH:=$(git show -s --format=%ct 2>/dev/null || stat -c %Y go.mod)}"
export SOURCE_DATE_EPOCH
cat >"$tree/debian/changelog" <<END
vifguard ($version) unstable; urgency=medium

  * Built from the project's source; its history is there.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -Ru -d "@$SOURCE_DATE_EPOCH")
END
if ! (cd "$tree" && dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes) >"$work/log" 2>&1; then
	cat "$work/log" >&2
	echo "deb.sh: dpkg-buildpackage failed" >&2
	exit 1
fi
cp "$work"/vifguard_*.deb "$work"/vifguard_*.changes "$work"/vifguard_*.buildinfo "$output/"
echo "$output/$(basename "$work"/vifguard_*.deb)"
