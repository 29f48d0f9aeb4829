//go:build packagetest

package packagetest

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// keep leaves the images, so that the next run doesn't have to make them.
var keep = flag.Bool("package.keep", false, "keep the Docker images that the test makes")

const (
	root  = "../.." // of the source
	image = "vifguard-package-test"
)

// command runs a program of this machine.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// build makes the Debian package of a version, and returns its file.
func build(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	command(t, "make", "-C", root, "deb", "BIN="+dir, "VERSION="+version)
	files, err := filepath.Glob(filepath.Join(dir, "deb", "*.deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("make deb left %v, %v", files, err)
	}
	return files[0]
}

// machine is a Debian host in a container, with systemd as its first process.
type machine struct {
	t  *testing.T
	id string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	lab.Need(t, lab.Root, lab.Docker)
	script := filepath.Join(root, "packaging", "base-image.sh")
	command(t, script)
	if !*keep {
		t.Cleanup(func() { command(t, script, "remove") })
	}
	command(t, "docker", "build", "-q", "--network=host", "-t", image, "testdata")
	if !*keep {
		t.Cleanup(func() { command(t, "docker", "rmi", image) })
	}
	m := &machine{t: t}
	// What systemd and Open vSwitch need, and a network that ends in the container.
	m.id = command(t, "docker", "run", "--detach", "--network=none", "--cgroupns=private",
		"--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cap-add=SYS_NICE", "--cap-add=IPC_LOCK",
		"--cap-add=SYS_PTRACE", // to look at what the agent may see
		"--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
		"--device=/dev/net/tun", "--tmpfs=/run:mode=755", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec",
		"--env=container=docker", "--stop-signal=SIGRTMIN+3", image)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal:\n%s", m.try("journalctl --no-pager -n 100"))
		}
		command(t, "docker", "rm", "--force", "--volumes", m.id)
	})
	m.await("systemd and Open vSwitch to run", "systemctl is-active openvswitch-switch && ovs-vsctl --timeout=5 show")
	return m
}

// exec runs a shell script on the machine.
func (m *machine) exec(script string) (string, error) {
	out, err := exec.Command("docker", "exec", m.id, "sh", "-euc", script).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// try returns what a script prints, and its error.
func (m *machine) try(script string) string {
	out, err := m.exec(script)
	if err != nil {
		out += fmt.Sprintf("\n(%v)", err)
	}
	return out
}

func (m *machine) must(script string) string {
	m.t.Helper()
	out, err := m.exec(script)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// await waits until a script succeeds.
func (m *machine) await(what, script string) {
	m.t.Helper()
	lab.EventuallyWithin(m.t, 2*time.Minute, what, func() error {
		out, err := m.exec(script)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
}

// copy puts a file of this machine into the machine's /root, and returns its path there.
func (m *machine) copy(file string) string {
	m.t.Helper()
	to := "/root/" + filepath.Base(file)
	command(m.t, "docker", "cp", file, m.id+":"+to)
	return to
}

// property returns a property of the agent's unit.
func (m *machine) property(name string) string {
	m.t.Helper()
	return m.must("systemctl show --property=" + name + " --value vifguard.service")
}

// guest attaches a guest to a bridge: a network namespace with a port and an address.
func (m *machine) guest(bridge, name, mac, address string) {
	m.t.Helper()
	m.must(fmt.Sprintf(`
		ip netns add %[2]s
		ip link add tap-%[2]s up type veth peer name eth0 netns %[2]s address %[3]s
		ip -n %[2]s link set lo up
		ip -n %[2]s link set eth0 up
		ip -n %[2]s address add %[4]s/24 dev eth0
		ovs-vsctl add-port %[1]s tap-%[2]s -- set Interface tap-%[2]s external_ids:attached-mac='"%[3]s"' external_ids:allowed-addresses=%[4]s`,
		bridge, name, mac, address))
}

// ping sends count echo requests from a guest, from one of its addresses, ten a second,
// and returns how many were answered.
func (m *machine) ping(guest, from, to string, count int) int {
	m.t.Helper()
	out, _ := m.exec(fmt.Sprintf("LC_ALL=C ip netns exec %s ping -n -i 0.1 -W 1 -c %d -I %s %s", guest, count, from, to))
	answered := -1
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "packets transmitted") {
			var sent int
			if _, err := fmt.Sscanf(line, "%d packets transmitted, %d received", &sent, &answered); err != nil {
				m.t.Fatalf("ping says %q", line)
			}
		}
	}
	if answered < 0 {
		m.t.Fatalf("ping from %s: %s", guest, out)
	}
	return answered
}

// flows returns a bridge's flows of vifguard, without counters.
func (m *machine) flows(bridge string) string {
	m.t.Helper()
	return m.must("ovs-ofctl -O OpenFlow13 --no-stats dump-flows " + bridge + " cookie=0x7667000000000000/0xffff000000000000 | sort")
}
