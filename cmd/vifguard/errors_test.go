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

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
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
		if exit.Code(err) != code || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") {
			t.Errorf("vifguard %s: exit code %d, %q; want %d and a line that says %q", strings.Join(args, " "), exit.Code(err), err, code, say)
		}
	}
	try(exit.NoSwitch, "there is no socket "+file("none"), "--ovsdb", "unix:"+file("none"), "status")
	try(exit.NoSwitch, "nobody listens at unix:"+file("file"), "--ovsdb", "unix:"+file("file"), "status")
	try(exit.NoSwitch, "isn't an OVSDB server", "--ovsdb", "unix:"+file("br0.mgmt"), "status")
	try(exit.NoSwitch, "isn't an OVSDB server", "--ovsdb", "unix:"+file("vswitchd.ctl"), "status")
	try(exit.Usage, "--ovsdb: OVSDB endpoint", "--ovsdb", "/run/db.sock", "--rundir", c.Dir, "status")
	try(exit.Usage, "is not a unix socket", "--ovsdb", "tcp:127.0.0.1:6640", "status")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = (&options{endpoint: "unix:" + file("silent")}).open(ctx)
	if exit.Code(err) != exit.Timeout || !strings.Contains(err.Error(), "accepts connections but doesn't answer in time") {
		t.Errorf("a server that says nothing: exit code %d, %v", exit.Code(err), err)
	}
}

func TestErrorsOfTheSwitch(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	frame := "ffffffffffff5254000000010806000108000604000152540000000100000000000000000000c0000201"
	c.fails(exit.NoSwitch, "there is no socket /nonexistent/br0.mgmt: ovs-vswitchd isn't running", "trace", "tap1", frame, "--rundir", "/nonexistent")
	c.MustRun(c.KillVswitchd)
	c.fails(exit.NoSwitch, "nobody listens at "+c.Dir+"/br0.mgmt", "trace", "tap1", frame)
}

// Codes of errors that carry no sentence of their own.
func TestExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		0: nil, exit.Interrupted: context.Canceled, exit.Timeout: context.DeadlineExceeded,
		exit.Permission: &os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, exit.No: os.ErrInvalid,
	} {
		if got := exit.Code(err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
	denied := exit.Dial("unix:/run/db.sock", &os.PathError{Op: "dial", Path: "/run/db.sock", Err: syscall.EACCES})
	if exit.Code(denied) != exit.Permission || !strings.Contains(denied.Error(), "run vifguard as root") {
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
	c.fails(exit.NotFound, `no interface "tpa1" on any bridge; did you mean tap1? (vifguard status lists`, "explain", "tpa1")
	c.fails(exit.NotFound, `did you mean vnet12?`, "status", "vnet")
	c.fails(exit.NotFound, `no interface "zzz" on any bridge (vifguard status lists the VIFs, ovs-vsctl show all ports)`, "explain", "zzz")
	c.fails(exit.NotFound, `no bridge "br-pub" (there are: br-public, br0); did you mean br-public?`, "guard", "br-pub")
	c.fails(exit.NotFound, `no bridge "tap1": it is a port of bridge br0`, "release", "tap1")
	c.fails(exit.Usage, `"firewal" is unknown`, "set", "tap1", "--profile", "firewal")
	c.fails(exit.Usage, `(there are: firewall); did you mean firewall?`, "set", "tap1", "--profile", "firewal")
	c.fails(exit.Usage, `"stauts" is not a command; did you mean status?`, "stauts")
	c.fails(exit.Usage, `unknown flag: --check (did you mean --checks?)`, "set", "tap1", "--check", "mac")
	c.fails(exit.Usage, "usage: vifguard explain PORT\nSee: vifguard explain --help", "explain")
	c.fails(exit.Usage, `version takes no arguments, but got "now"`, "version", "now")
	c.fails(exit.Usage, `status: too many arguments from "b" on`, "status", "a", "b")
}
