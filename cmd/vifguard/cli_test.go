package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// console is a private switch and the command line that talks to it.
type console struct {
	*lab.T
	t *testing.T
}

func newConsole(t *testing.T) *console {
	c := &console{T: lab.New(t, lab.Options{}), t: t}
	c.MustBridge("br0")
	c.MustPort("br0", "eth0", lab.PortOptions{OFPort: 1})
	c.MustPort("br0", "tap1", lab.PortOptions{OFPort: 2, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:01", "vm-id": "6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11"}})
	return c
}

// run runs one command line, and returns what it prints on both outputs.
func (c *console) run(args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot(&out, &out)
	root.SetArgs(append([]string{"--ovsdb", c.Endpoint()}, args...))
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

func (c *console) must(args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if err != nil {
		c.t.Fatalf("vifguard %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// agent runs the agent until the returned function is called.
func (c *console) agent() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		root := newRoot(io.Discard, c.t.Output())
		root.SetArgs([]string{"--ovsdb", c.Endpoint(), "run", "--metrics-address", "", "--control", c.control(), "--state-dir", filepath.Join(c.Dir, "state")})
		done <- root.ExecuteContext(ctx)
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("vifguard run: %v", err)
		}
	}
}

// control is the path of the agent's control socket.
func (c *console) control() string { return filepath.Join(c.Dir, "control.sock") }

func (c *console) awaitState(port, state string) {
	c.t.Helper()
	c.MustWait(port+" to be "+state, func() (bool, error) { return c.MustIDs(port)["vifguard-state"] == state, nil })
}

func TestOperatorsDay(t *testing.T) {
	c := newConsole(t)
	if out := c.must("status"); !strings.Contains(out, "no bridge is guarded") {
		t.Errorf("status of an unguarded host: %s", out)
	}
	if out := c.must("guard", "br0"); !strings.Contains(out, "1 VIFs are checked, 0 have checks off, 0 ports are blocked, 2 are trusted.") {
		t.Errorf("guard: %s", out)
	}
	if out := c.must("status"); !strings.Contains(out, "unknown") || !strings.Contains(out, "is the agent running?") {
		t.Errorf("status before the agent: %s", out)
	}
	stop := c.agent()
	c.awaitState("tap1", "enforced")
	out := c.must("set", "tap1", "--address", "192.0.2.1", "--address", "2001:db8::1", "--pair", "192.0.2.100@00:00:5e:00:01:07", "--seq", "1")
	if !strings.Contains(out, "use its own IP sources") {
		t.Errorf("set: %s", out)
	}
	c.MustWait("seq 1", func() (bool, error) { return c.MustIDs("tap1")["vifguard-seq"] == "1", nil })
	spoof := lab.UDPFrame(lab.MustMAC("52:54:00:00:00:99"), lab.MustMAC("52:54:00:00:00:01"), netip.MustParseAddrPort("192.0.2.66:1000"), netip.MustParseAddrPort("192.0.2.9:2000"), []byte("x"))
	c.MustReach("tap1", spoof)
	c.MustPurge()
	stop()

	// Everything below is read while the agent is down.
	table := c.must("status")
	if !regexp.MustCompile(`br0 +tap1 +6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11 +enforced +mac,arp,ip +\S.* +ip 1 +-`).MatchString(table) {
		t.Errorf("status:\n%s", table)
	}
	var list []report.Status
	if err := json.Unmarshal([]byte(c.must("status", "-o", "json", "tap1")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Drops["ip"] != 1 || !list[0].InForce || list[0].State != "enforced" || list[0].VM != "6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11" {
		t.Errorf("status -o json: %+v", list)
	}
	explained := c.must("explain", "tap1")
	for _, want := range []string{
		"tap1 on bridge br0, OpenFlow port 2", "In force: yes", "the bridge's default, auto with an address",
		"192.0.2.100", "00:00:5e:00:01:07", "ARP, IP source, VRRP", "DROPPED: ip 1", "link-local (EUI-64)",
	} {
		if !strings.Contains(explained, want) {
			t.Errorf("explain doesn't say %q:\n%s", want, explained)
		}
	}
	if out := c.must("explain", "eth0"); !strings.Contains(out, "Trusted (no attached-mac and no port-security key)") {
		t.Errorf("explain of a trusted port: %s", out)
	}
	if out := c.must("unset", "tap1", "--pair"); !strings.Contains(out, "tap1 allowed-address-pairs removed (was 192.0.2.100@00:00:5e:00:01:07)") {
		t.Errorf("unset: %s", out)
	}
	c.must("unset", "tap1")
	if ids := c.MustIDs("tap1"); ids[model.KeyAddresses] != "" || ids[model.KeyAttachedMAC] == "" {
		t.Errorf("after unset: %v", ids)
	}
	if out := c.must("release", "br0"); !strings.Contains(out, "forwards as before") {
		t.Errorf("release: %s", out)
	}
	if dump := c.MustOfctl("dump-flows", "br0"); strings.Contains(dump, "cookie=0x7667") {
		t.Errorf("flows left after release:\n%s", dump)
	}
	if ids := c.MustIDs("tap1"); ids[model.KeyStatusState] != "" {
		t.Errorf("status keys left after release: %v", ids)
	}
}

// Release works while an agent runs, and the agent doesn't undo it.
func TestReleaseBesideAnAgent(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	stop := c.agent()
	defer stop()
	c.awaitState("tap1", "enforced")
	c.must("release", "br0")
	if ids := c.MustIDs("tap1"); len(ids) != 2 {
		t.Errorf("keys left: %v", ids)
	}
	if dump := c.MustOfctl("dump-flows", "br0"); strings.Contains(dump, "cookie=0x7667") {
		t.Errorf("flows left:\n%s", dump)
	}
	c.must("guard", "br0")
	c.awaitState("tap1", "enforced")
}

// A bad value is refused with the reason and an example, and nothing is written.
func TestBadInputIsRefused(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0", "--checks", "mac")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"set", "tap1", "--address", "192.0.2.1", "--pair", "192.0.2.300"}, `"192.0.2.300" is not an IP address (want e.g. 192.0.2.10`},
		{[]string{"set", "tap1", "--address", "192.0.2.1/24"}, "want 192.0.2.0/24 or 192.0.2.1"},
		{[]string{"set", "tap1", "--mac", "52:54:00"}, "want e.g. 52:54:00:12:34:56"},
		{[]string{"set", "tap1", "--checks", "ip"}, "want auto, mac, mac,arp, mac,arp,ip, off or block"},
		{[]string{"set", "tap1", "--action", "log"}, "want enforce or observe"},
		{[]string{"set", "tap1", "--allow", "everything"}, "want dhcp-server, router"},
		{[]string{"set", "tap1", "--profile", "nope"}, `"nope" is unknown`},
		{[]string{"set", "tap1"}, "nothing to set"},
		{[]string{"set", "tap9", "--checks", "mac"}, `no interface "tap9"`},
		{[]string{"guard", "br9"}, `no bridge "br9" (there are: br0)`},
		{[]string{"guard", "br0", "--checks", "strict"}, "want auto, mac"},
		{[]string{"guard", "br0", "--checks", "off"}, "vifguard release br0"},
		{[]string{"guard", "br0", "--exit-table", "3"}, "outside the stages' tables 0 to 6"},
		{[]string{"guard", "br0", "--unmarked", "yes"}, "want block or trust"},
		{[]string{"status", "-o", "yaml"}, "want table or json"},
		{[]string{"status", "tap9"}, `no interface "tap9"`},
		{[]string{"explain", "tap9"}, `no interface "tap9"`},
		{[]string{"release", "br9"}, `no bridge "br9"`},
	} {
		before := c.MustVsctl("--columns=external_ids", "list", "Interface", "tap1") + c.MustVsctl("get", "Bridge", "br0", "external_ids")
		out, err := c.run(test.args...)
		if err == nil {
			t.Errorf("vifguard %s succeeded: %s", strings.Join(test.args, " "), out)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("vifguard %s: %q doesn't say %q", strings.Join(test.args, " "), err, test.want)
		}
		if strings.Contains(err.Error(), "is used") || strings.Contains(err.Error(), "is programmed") {
			t.Errorf("vifguard %s: %q says what holds in place of what isn't written", strings.Join(test.args, " "), err)
		}
		if after := c.MustVsctl("--columns=external_ids", "list", "Interface", "tap1") + c.MustVsctl("get", "Bridge", "br0", "external_ids"); after != before {
			t.Errorf("vifguard %s wrote %s", strings.Join(test.args, " "), after)
		}
	}
}

// Values that need quoting for ovs-vsctl need none here.
func TestSetKeepsValuesWhole(t *testing.T) {
	c := newConsole(t)
	neutron := `[{"ip_address": "192.0.2.1", "mac_address": "52:54:00:00:00:0a"}, {"ip_address": "2001:db8::/64"}]`
	c.must("set", "tap1", "--pair", neutron, "--seq", `a "b", c`)
	ids := c.MustIDs("tap1")
	if ids[model.KeyPairs] != neutron || ids[model.KeySeq] != `a "b", c` {
		t.Errorf("written: %v", ids)
	}
}

// Set says whom keys are for, with every change, and so that they go on counting.
func TestSetSaysWhomKeysAreFor(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	check := func(want string) {
		t.Helper()
		if got := c.MustIDs("tap1"); got[model.KeyFor] != want {
			t.Errorf("%v; want for %q", got, want)
		}
	}
	c.must("set", "tap1", "--address", "192.0.2.1")
	check("52:54:00:00:00:01")
	if out := c.must("explain", "tap1"); !regexp.MustCompile(`written for +52:54:00:00:00:01 +port-security-for`).MatchString(out) {
		t.Errorf("explain:\n%s", out)
	}
	c.must("set", "tap1", "--mac", "52-54-00-00-00-02")
	check("52:54:00:00:00:02")
	if ids := c.MustIDs("tap1"); ids[model.KeyAddresses] != "192.0.2.1" {
		t.Errorf("a new MAC of the same VIF: %v", ids)
	}
	// Another VM's tap gets the name.
	c.MustSetIDs("tap1", map[string]string{model.KeyAttachedMAC: "52:54:00:00:00:03"})
	if out := c.must("observe", "tap1"); !strings.Contains(out, "It may send from its own MAC, with any address") {
		t.Errorf("observe:\n%s", out)
	}
	check("52:54:00:00:00:03")
	if ids := c.MustIDs("tap1"); ids[model.KeyAddresses] != "" {
		t.Errorf("keys of another VIF count again: %v", ids)
	}
	c.must("unset", "tap1")
	check("")
}

// Others read attached-mac too, and don't know all notations that are understood here.
func TestSetWritesTheUsualNotation(t *testing.T) {
	c := newConsole(t)
	for _, mac := range []string{"525400AA0011", "52-54-00-aa-00-11", "5254.00aa.0011"} {
		c.must("unset", "tap1", "--mac")
		c.must("set", "tap1", "--mac", mac)
		if got := c.MustIDs("tap1")[model.KeyAttachedMAC]; got != "52:54:00:aa:00:11" {
			t.Errorf("--mac %s: written %q", mac, got)
		}
	}
}

func TestTrace(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	c.must("set", "tap1", "--address", "192.0.2.1")
	stop := c.agent()
	defer stop()
	c.awaitState("tap1", "enforced")
	own := lab.ARPRequest(lab.MustMAC("52:54:00:00:00:01"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9"))
	spoofed := lab.ARPRequest(lab.MustMAC("52:54:00:00:00:01"), netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.9"))
	cut := spoofed[:20]

	var results []report.Trace
	if err := json.Unmarshal([]byte(c.must("trace", "-o", "json", "tap1", hex.EncodeToString(own))), &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Verdict != "pass" || results[0].Reason != "" || len(results[0].Steps) < 4 {
		t.Errorf("own ARP request: %+v", results)
	}
	pcap := filepath.Join(t.TempDir(), "frames.pcap")
	writePcap(t, pcap, spoofed, cut)
	out := c.must("trace", "tap1", pcap)
	for _, want := range []string{
		"ARP request from 52:54:00:00:00:01 (192.0.2.5): who has 192.0.2.9",
		"dropped, reason arp: ARP from 52:54:00:00:00:01 that no binding allows",
		"malformed: ARP: frame ends inside", "dropped, reason mac: foreign sender hardware address",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("trace of a pcap file doesn't say %q:\n%s", want, out)
		}
	}
	c.must("set", "tap1", "--action", "observe", "--seq", "1")
	c.MustWait("seq 1", func() (bool, error) { return c.MustIDs("tap1")["vifguard-seq"] == "1", nil })
	if out := c.must("trace", "tap1", hex.EncodeToString(spoofed)); !strings.Contains(out, "it passes because the VIF is only observed") {
		t.Errorf("trace of an observed VIF:\n%s", out)
	}
	for _, bad := range []struct{ arg, want string }{
		{"xyz", "is not a hexadecimal digit"}, {"ffff", "shorter than an Ethernet header"}, {"./missing.pcap", "no such file"},
	} {
		if out, err := c.run("trace", "tap1", bad.arg); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("trace of %q: %v, want %q\n%s", bad.arg, err, bad.want, out)
		}
	}
}

// writePcap writes frames to a capture file as tcpdump would: magic number, version
// 2.4, time zone, accuracy, snapshot length, and link type 1, Ethernet.
func writePcap(t *testing.T, path string, frames ...[]byte) {
	t.Helper()
	var b []byte
	for _, word := range []uint32{0xa1b2c3d4, 2<<16 | 4, 0, 0, 65535, 1} {
		b = binary.BigEndian.AppendUint32(b, word)
	}
	for _, f := range frames {
		for _, word := range []uint32{0, 0, uint32(len(f)), uint32(len(f))} {
			b = binary.BigEndian.AppendUint32(b, word)
		}
		b = append(b, f...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "vifguard")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// The real program: SIGTERM ends it with exit status 0, and the flows stay.
func TestSIGTERMLeavesTheFlows(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	agent := exec.Command(build(t), "run", "--ovsdb", c.Endpoint(), "--metrics-address", "", "--control", c.control(), "--state-dir", "")
	agent.Stderr = t.Output()
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Process.Kill() }()
	c.awaitState("tap1", "enforced")
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if out := c.must("explain", "tap1"); !strings.Contains(out, "In force: yes") {
		t.Errorf("after SIGTERM:\n%s", out)
	}
}

func TestNoOpenVSwitch(t *testing.T) {
	root := newRoot(io.Discard, io.Discard)
	root.SetArgs([]string{"--ovsdb", "unix:/nonexistent/db.sock", "status"})
	if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "/nonexistent/db.sock") {
		t.Errorf("error: %v", err)
	}
}
