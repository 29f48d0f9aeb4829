//go:build packagetest

package packagetest

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/test/lab"
)

const (
	alice, bob = "192.0.2.10", "192.0.2.11"
	foreign    = "192.0.2.66" // on alice's interface too, but not hers
)

// TestPackage is a package's life on one host. Each step builds on the one before.
func TestPackage(t *testing.T) {
	lab.Need(t, lab.Root, lab.Docker)
	first, second := build(t, "v0.1.0-rc1"), build(t, "v0.1.0")
	if out, err := exec.Command("lintian", "--fail-on=error,warning", "--allow-root", first).CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	h := &host{machine: newMachine(t)}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"install", func(t *testing.T) { h.install(t, first) }},
		{"guard", h.guard},
		{"confinement", h.confinement},
		{"Open vSwitch restarts", h.switchRestarts},
		{"watchdog", h.watchdog},
		{"upgrade", func(t *testing.T) { h.upgrade(t, second) }},
		{"without capabilities", h.withoutCapabilities},
		{"remove", h.remove},
		{"purge", h.purge},
		{"release without vifguard", h.release},
	} {
		h.t = t
		if !t.Run(step.name, func(t *testing.T) { h.t = t; step.run(t) }) {
			break
		}
	}
	h.t = t
}

// host is the machine, and what one step leaves for the next.
type host struct {
	*machine
	files    string // of the package
	released string // commands that the removal printed
}

func (h *host) install(t *testing.T, deb string) {
	if out := h.must("dpkg -i " + h.copy(deb)); strings.Contains(out, "warning") {
		t.Errorf("dpkg -i: %s", out)
	}
	// Type=notify: active means that READY=1 was received.
	h.await("the unit to be active", "systemctl is-active vifguard")
	if s := h.property("StatusText"); s != "bridges guarded: 0, VIFs: 0" {
		t.Errorf("status %q", s)
	}
	if s := h.must("systemctl is-enabled vifguard"); s != "enabled" {
		t.Errorf("the unit is %s", s)
	}
	if out := h.must("systemd-analyze verify vifguard.service"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	if out := h.must("systemd-analyze --no-pager --threshold=25 security vifguard.service | tail -1"); !strings.Contains(out, "exposure level") {
		t.Errorf("systemd-analyze security: %s", out)
	}
	if out := h.must("vifguard version"); !strings.HasPrefix(out, "vifguard v0.1.0-rc1\n") {
		t.Errorf("vifguard version: %s", out)
	}
	if out := h.must("man 8 vifguard-run"); !strings.Contains(out, "--log-format") {
		t.Errorf("man vifguard-run: %s", out)
	}
	for _, linked := range []string{"go1.", "github.com/ovn-org/libovsdb"} {
		h.must("zgrep -q '^=== " + linked + "' /usr/share/doc/vifguard/third-party-notices.gz")
	}
	h.files = h.must("dpkg -L vifguard")
}

func (h *host) guard(t *testing.T) {
	// fail_mode stays standalone: a released bridge forwards.
	h.must("ovs-vsctl add-br br0 -- set Bridge br0 datapath_type=netdev")
	h.guest("br0", "alice", "52:54:00:00:00:10", alice)
	h.guest("br0", "bob", "52:54:00:00:00:11", bob)
	h.must("ip -n alice address add " + foreign + "/24 dev eth0")
	if n := h.ping("alice", foreign, bob, 3); n == 0 {
		t.Fatal("the bridge forwards nothing before it is guarded: the test would prove nothing")
	}
	h.must("vifguard guard br0")
	h.await("alice to be programmed", "ovs-vsctl get Interface tap-alice external_ids:vifguard-state | grep enforced")
	h.mustProtect()
	if out := h.must("vifguard status -o json tap-alice"); !strings.Contains(out, `"in_force": true`) {
		t.Errorf("vifguard status: %s", out)
	}
	if s := h.property("StatusText"); s != "bridges guarded: 1, VIFs: 2" {
		t.Errorf("status %q", s)
	}
	log := h.must("journalctl --no-pager --output=cat -u vifguard")
	if !strings.Contains(log, "VIF programmed bridge=br0 checks=mac,arp,ip port=tap-alice state=enforced") || strings.Contains(log, "<6>") {
		t.Errorf("the journal:\n%s", log)
	}
	h.await("the spoofed frames among the drops", "vifguard drops tap-alice | grep 'tap-alice.* dropped '")
	metrics := h.must(`bash -c 'exec 3<>/dev/tcp/127.0.0.1/9479; printf "GET /metrics HTTP/1.0\r\n\r\n" >&3; cat <&3'`)
	if !strings.Contains(metrics, `vifguard_`) || !strings.Contains(metrics, `bridge="br0"`) {
		t.Errorf("metrics:\n%s", metrics)
	}
	out := h.must(`bash -c '. /usr/share/bash-completion/bash_completion; . /usr/share/bash-completion/completions/vifguard
		COMP_WORDS=(vifguard explain tap-a); COMP_CWORD=2; COMP_LINE="vifguard explain tap-a"; COMP_POINT=${#COMP_LINE}
		__start_vifguard 2>/dev/null; echo "${COMPREPLY[@]}"'`)
	if !strings.HasPrefix(out, "tap-alice") {
		t.Errorf("completion of a port's name: %q", out)
	}
}

// mustProtect sends real frames: alice reaches bob from her own address, and not from
// one that isn't hers.
func (h *host) mustProtect() {
	h.t.Helper()
	if n := h.ping("alice", alice, bob, 3); n != 3 {
		h.t.Errorf("alice's own frames: %d of 3 answered", n)
	}
	if n := h.ping("alice", foreign, bob, 3); n != 0 {
		h.t.Errorf("frames from an address that isn't alice's: %d of 3 answered", n)
	}
}

// confinement: one capability, and nothing to use it on but Open vSwitch's sockets.
func (h *host) confinement(t *testing.T) {
	pid := h.property("MainPID")
	status := h.must("cat /proc/" + pid + "/status")
	for _, want := range []string{"CapEff:\t0000000000000002", "CapBnd:\t0000000000000002", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, want) {
			t.Errorf("the agent's status lacks %q:\n%s", want, status)
		}
	}
	if uid := h.must("stat -c %U /proc/" + pid); uid != "vifguard" {
		t.Errorf("the agent runs as %s", uid)
	}
	// Every file outside /proc and /dev, and of what it keeps itself, that the agent can name.
	seen := h.must("cd /proc/" + pid + "/root && find . \\( -path ./proc -o -path ./dev \\) -prune -o ! -type d -print | grep -v -e '^./run/openvswitch/' -e '^./var/lib/vifguard/' | sort")
	if d := cmp.Diff("./run/systemd/notify\n./run/vifguard/control.sock\n./usr/sbin/vifguard", seen); d != "" {
		t.Errorf("files that the agent sees (-want +got):\n%s", d)
	}
	for _, dir := range []string{"run/openvswitch", "usr/sbin", "."} {
		mount := h.must("findmnt --task " + pid + " --noheadings --output OPTIONS --target /" + dir)
		if !strings.HasPrefix(mount, "ro") {
			t.Errorf("/%s is %q to the agent", dir, mount)
		}
	}
}

// switchRestarts: its sockets are made anew, and a bridge is added; the agent stays.
func (h *host) switchRestarts(t *testing.T) {
	pid := h.property("MainPID")
	h.must("systemctl restart openvswitch-switch")
	h.must("ovs-vsctl add-br br1 -- set Bridge br1 datapath_type=netdev external_ids:port-security=mac")
	h.await("both bridges to be programmed", `for b in br0 br1; do ovs-ofctl -O OpenFlow13 dump-flows $b | grep -q cookie=0x7667; done
		ovs-ofctl -O OpenFlow13 dump-flows br0 | grep -q dl_src=52:54:00:00:00:10`)
	h.mustProtect()
	if now := h.property("MainPID"); now != pid {
		t.Errorf("the agent was restarted with Open vSwitch: pid %s, then %s", pid, now)
	}
	h.must("ovs-vsctl del-br br1")
}

// watchdog: an agent that hangs is replaced, and protection goes on meanwhile.
func (h *host) watchdog(t *testing.T) {
	dropIn := "/run/systemd/system/vifguard.service.d/watchdog.conf"
	h.must("mkdir -p $(dirname " + dropIn + "); printf '[Service]\\nWatchdogSec=24\\n' >" + dropIn + "; systemctl daemon-reload; systemctl restart vifguard")
	pid := h.property("MainPID")
	h.must("kill -STOP " + pid)
	h.mustProtect()
	h.await("the agent to be replaced", "p=$(systemctl show --property=MainPID --value vifguard); test $p != 0 -a $p != "+pid+"; systemctl is-active vifguard")
	if out := h.must("journalctl --no-pager -u vifguard"); !strings.Contains(out, "Watchdog timeout") {
		t.Errorf("not the watchdog's doing:\n%s", out)
	}
	h.must("rm -r $(dirname " + dropIn + "); systemctl daemon-reload; systemctl restart vifguard")
	h.mustProtect()
}

// upgrade: no frame is lost, none that is spoofed passes, no flow changes.
func (h *host) upgrade(t *testing.T, deb string) {
	before, pid := h.flows("br0"), h.property("MainPID")
	legitimate, spoofed := make(chan int, 1), make(chan int, 1)
	go func() { legitimate <- h.ping("alice", alice, bob, 100) }()
	go func() { spoofed <- h.ping("alice", foreign, bob, 100) }()
	h.must("dpkg -i " + h.copy(deb))
	h.await("the unit to be active", "systemctl is-active vifguard")
	if n := <-legitimate; n != 100 {
		t.Errorf("alice's own frames during the upgrade: %d of 100 answered", n)
	}
	if n := <-spoofed; n != 0 {
		t.Errorf("spoofed frames during the upgrade: %d of 100 answered", n)
	}
	if now := h.property("MainPID"); now == pid {
		t.Error("the agent wasn't restarted")
	}
	if out := h.must("vifguard version"); !strings.HasPrefix(out, "vifguard v0.1.0\n") {
		t.Errorf("vifguard version: %s", out)
	}
	if d := cmp.Diff(before, h.flows("br0")); d != "" {
		t.Errorf("flows changed (-before +after):\n%s", d)
	}
	if log := h.must("journalctl --no-pager --output=cat -u vifguard -n 20"); strings.Contains(log, "drift") {
		t.Errorf("the journal:\n%s", log)
	}
}

// withoutCapabilities follows README.Debian.
func (h *host) withoutCapabilities(t *testing.T) {
	h.must(`cd /usr/share/doc/vifguard/examples
		for unit in ovsdb-server ovs-vswitchd; do
			install -D -m 644 openvswitch-group.conf /etc/systemd/system/$unit.service.d/vifguard.conf
		done
		install -D -m 644 no-capability.conf /etc/systemd/system/vifguard.service.d/no-capability.conf
		systemctl daemon-reload
		systemctl restart openvswitch-switch vifguard`)
	h.await("br0 to be programmed", "ovs-ofctl -O OpenFlow13 dump-flows br0 | grep -q dl_src=52:54:00:00:00:10")
	h.mustProtect()
	if status := h.must("cat /proc/" + h.property("MainPID") + "/status"); !strings.Contains(status, "CapBnd:\t0000000000000000") {
		t.Errorf("the agent's status:\n%s", status)
	}
	h.must(`rm -r /etc/systemd/system/*.service.d
		systemctl daemon-reload
		systemctl restart openvswitch-switch vifguard`)
	h.await("br0 to be programmed", "ovs-ofctl -O OpenFlow13 dump-flows br0 | grep -q dl_src=52:54:00:00:00:10")
	h.mustProtect()
}

// remove: protection stays, and the operator is told so.
func (h *host) remove(t *testing.T) {
	before := h.flows("br0")
	out := h.must("dpkg --remove vifguard")
	for _, line := range strings.Split(out, "\n") {
		if command, ok := strings.CutPrefix(line, "vifguard:   "); ok {
			h.released += command + "\n"
		}
	}
	if !strings.Contains(out, "br0 stays guarded") || strings.Count(h.released, "\n") != 2 {
		t.Errorf("the removal says:\n%s", out)
	}
	if out := h.try("systemctl is-active vifguard"); strings.HasPrefix(out, "active") {
		t.Errorf("the unit is %s", out)
	}
	if d := cmp.Diff(before, h.flows("br0")); d != "" {
		t.Errorf("flows changed (-before +after):\n%s", d)
	}
	h.mustProtect()
}

// purge leaves nothing of the package.
func (h *host) purge(t *testing.T) {
	h.must("dpkg --purge vifguard")
	for _, file := range strings.Split(h.files, "\n") {
		if strings.Contains(file, "vifguard") {
			if _, err := h.exec("test ! -e " + file); err != nil {
				t.Errorf("%s is still there", file)
			}
		}
	}
	// What the test itself left: packages in /root, and the pages that man has formatted.
	if left := h.try("find / /run -xdev -name '*vifguard*' ! -path '/root/*' ! -path '/var/cache/man/*'"); left != "" {
		t.Errorf("left over:\n%s", left)
	}
	if out, err := h.exec("getent passwd vifguard || getent group vifguard"); err == nil {
		t.Errorf("left over: %s", out)
	}
	h.mustProtect()
}

// release does what the removal printed.
func (h *host) release(t *testing.T) {
	h.must(h.released)
	if left := h.flows("br0"); strings.Contains(left, "cookie") {
		t.Errorf("left over:\n%s", left)
	}
	if n := h.ping("alice", foreign, bob, 3); n != 3 {
		t.Errorf("a released bridge forwards %d of 3", n)
	}
}
