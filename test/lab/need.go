package lab

import (
	"os"
	"os/exec"
	"testing"
)

// Requirement is something a test needs from its surroundings.
type Requirement int

const (
	// Root is the user id 0.
	Root Requirement = iota
	// OVS is an installed Open vSwitch; it need not run.
	OVS
	// Netns is the right to make network namespaces and network devices.
	Netns
	// Docker is a Docker daemon that this user may use.
	Docker
	// Promtool is the program that checks Prometheus' rules.
	Promtool
)

// Need ends the test if a requirement isn't met: it skips the test and says
// what to do, or, where the environment variable CI is set, fails it, so that
// nothing is left untested there unnoticed.
func Need(tb testing.TB, requirements ...Requirement) {
	tb.Helper()
	for _, r := range requirements {
		if missing := r.missing(); missing != "" {
			Unmet(tb, missing)
		}
	}
}

// Unmet ends a test for which something is missing, as [Need] does.
func Unmet(tb testing.TB, missing string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf("requirement not met: %s", missing)
	}
	tb.Skipf("requirement not met: %s", missing)
}

// missing says what is missing and what to do, or nothing.
func (r Requirement) missing() string {
	switch r {
	case Root:
		if os.Geteuid() != 0 {
			return "run the test as root"
		}
	case OVS:
		for _, name := range []string{"ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl"} {
			if _, err := findProgram(name); err != nil {
				return err.Error() + ": install Open vSwitch (package openvswitch-switch)"
			}
		}
		if _, err := findSchema(); err != nil {
			return err.Error() + ": install Open vSwitch (package openvswitch-switch)"
		}
	case Netns:
		ns, err := NewNamespace()
		if err != nil {
			return err.Error() + ": run as root, in a container with the capabilities NET_ADMIN and SYS_ADMIN"
		}
		ns.Close()
		tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		if err != nil {
			return err.Error() + ": load the module tun, or pass the device to the container"
		}
		tun.Close()
	case Promtool:
		if _, err := exec.LookPath("promtool"); err != nil {
			return err.Error() + ": run the tests with make, or install it (package prometheus)"
		}
	case Docker:
		if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
			return "docker version: " + err.Error() + ": install and start Docker (packaging/deps.sh lab): " + string(out)
		}
	}
	return ""
}
