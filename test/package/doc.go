// Package packagetest installs, upgrades, removes and purges the Debian package on a
// Debian host with systemd and Open vSwitch, in a container that isn't privileged. It
// takes minutes: run it with make package-test.
package packagetest
