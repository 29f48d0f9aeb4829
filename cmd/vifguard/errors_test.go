package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// What isn't there, isn't allowed or doesn't answer gets a sentence and a code of its own.
func TestErrorsOfTheConnection(t *testing.T) {
	c := newConsole(t)
	file := func(name string) string { return filepath.Join(c.Dir, name) }
	silent, err := net.Listen("unix", file("silent"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := os.WriteFile(file("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(code int, say string, args ...string) {
		t.Helper()
		root := newRoot(t.Output(), io.Discard)
		root.SetArgs(args)
		err := root.ExecuteContext(t.Context())
		if exitCode(err) != code || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") {
			t.Errorf("vifguard %s: exit code %d, %q; want %d and a line that says %q", strings.Join(args, " "), exitCode(err), err, code, say)
		}
	}
	try(exitNoSwitch, "there is no socket "+file("none"), "--ovsdb", "unix:"+file("none"), "status")
	try(exitNoSwitch, "nobody listens at unix:"+file("file"), "--ovsdb", "unix:"+file("file"), "status")
	try(exitNoSwitch, "isn't an OVSDB server", "--ovsdb", "unix:"+file("br0.mgmt"), "status")
	try(exitNoSwitch, "isn't an OVSDB server", "--ovsdb", "unix:"+file("vswitchd.ctl"), "status")
	try(exitUsage, "--ovsdb: OVSDB endpoint", "--ovsdb", "/run/db.sock", "--rundir", c.Dir, "status")
	try(exitUsage, "is not a unix socket", "--ovsdb", "tcp:127.0.0.1:6640", "status")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = (&options{endpoint: "unix:" + file("silent")}).open(ctx)
	if exitCode(err) != exitTimeout || !strings.Contains(err.Error(), "accepts connections but doesn't answer in time") {
		t.Errorf("a server that says nothing: exit code %d, %v", exitCode(err), err)
	}
}

func TestErrorsOfTheSwitch(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	frame := "ffffffffffff5254000000010806000108000604000152540000000100000000000000000000c0000201"
	c.fails(exitNoSwitch, "there is no socket /nonexistent/br0.mgmt: ovs-vswitchd isn't running", "trace", "tap1", frame, "--rundir", "/nonexistent")
	c.MustRun(c.KillVswitchd)
	c.fails(exitNoSwitch, "nobody listens at "+c.Dir+"/br0.mgmt", "trace", "tap1", frame)
}

// Codes of errors that carry no sentence of their own.
func TestExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		0: nil, exitInterrupted: context.Canceled, exitTimeout: context.DeadlineExceeded,
		exitPermission: &os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, exitNo: os.ErrInvalid,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
	denied := explainDial("unix:/run/db.sock", &os.PathError{Op: "dial", Path: "/run/db.sock", Err: syscall.EACCES})
	if exitCode(denied) != exitPermission || !strings.Contains(denied.Error(), "run vifguard as root") {
		t.Errorf("denied: %v", denied)
	}
	for _, code := range []string{"  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  5 ", "  6 ", "  7 "} {
		if !strings.Contains(newRoot(io.Discard, io.Discard).Long, "\n"+code) {
			t.Errorf("the help doesn't explain exit code %s", code)
		}
	}
}

// Names that aren't there come with the nearest one and where to look.
func TestUnknownNames(t *testing.T) {
	c := newConsole(t)
	c.MustBridge("br-public")
	c.MustPort("br0", "vnet12", lab.PortOptions{})
	c.must("guard", "br0")
	c.MustVsctl("set", "Open_vSwitch", ".", "external_ids:port-security-profile-firewall=checks=mac,arp")
	c.fails(exitNotFound, `no interface "tpa1" on any bridge; did you mean tap1? (vifguard status lists`, "explain", "tpa1")
	c.fails(exitNotFound, `did you mean vnet12?`, "status", "vnet")
	c.fails(exitNotFound, `no interface "zzz" on any bridge (vifguard status lists the VIFs, ovs-vsctl show all ports)`, "explain", "zzz")
	c.fails(exitNotFound, `no bridge "br-pub" (there are: br-public, br0); did you mean br-public?`, "guard", "br-pub")
	c.fails(exitNotFound, `no bridge "tap1": it is a port of bridge br0`, "release", "tap1")
	c.fails(exitUsage, `"firewal" is unknown`, "set", "tap1", "--profile", "firewal")
	c.fails(exitUsage, `(there are: firewall); did you mean firewall?`, "set", "tap1", "--profile", "firewal")
	c.fails(exitUsage, `"stauts" is not a command; did you mean status?`, "stauts")
	c.fails(exitUsage, `unknown flag: --check (did you mean --checks?)`, "set", "tap1", "--check", "mac")
	c.fails(exitUsage, "usage: vifguard explain PORT\nSee: vifguard explain --help", "explain")
	c.fails(exitUsage, `version takes no arguments, but got "now"`, "version", "now")
	c.fails(exitUsage, `status: too many arguments from "b" on`, "status", "a", "b")
}

func TestNearest(t *testing.T) {
	for _, test := range []struct{ name, candidates, want string }{
		{"tap1", "tap1 tap2", "tap1"},
		{"tpa1", "tap2 tap1", "tap1"},
		{"TAP1", "tap1", "tap1"},
		{"br", "br0 eth0", "br0"},
		{"br-public-long", "br-public br0", "br-public"},
		{"x", "tap1 tap2", ""},
		{"", "tap1", ""},
		{"eth0", "", ""},
		{"uplink", "tap1 eth0", ""},
	} {
		if got := nearest(test.name, strings.Fields(test.candidates)); got != test.want {
			t.Errorf("nearest to %q of %q: %q, want %q", test.name, test.candidates, got, test.want)
		}
	}
}
