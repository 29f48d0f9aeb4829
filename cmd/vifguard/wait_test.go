package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/test/lab"
)

// fails runs a command line that must end with an exit code and say something.
func (c *console) fails(code int, say string, args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if got := exit.Code(err); got != code {
		c.t.Errorf("vifguard %s: exit code %d (%v), want %d\n%s", strings.Join(args, " "), got, err, code, out)
	}
	if err != nil && !strings.Contains(err.Error(), say) {
		c.t.Errorf("vifguard %s: %q doesn't say %q", strings.Join(args, " "), err, say)
	}
	return out
}

// later runs a command line beside the test; the returned function waits for its end.
func (c *console) later(args ...string) (end func() (string, error)) {
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := c.run(args...)
		done <- result{out, err}
	}()
	return func() (string, error) { r := <-done; return r.out, r.err }
}

func TestWait(t *testing.T) {
	c := newConsole(t)
	// What is missing, one thing after the other.
	c.fails(exit.Timeout, "tap9 waits for the port to appear", "wait", "tap9", "--timeout", "50ms")
	c.fails(exit.Timeout, "waits for bridge br0 to be guarded", "wait", "tap1", "--timeout", "50ms")
	c.must("guard", "br0")
	c.fails(exit.Timeout, "waits for keys of vifguard on the port", "wait", "eth0", "--timeout", "50ms")
	c.fails(exit.Timeout, "waits for the agent to report (is vifguard run running?)", "wait", "tap1", "--timeout", "50ms")

	stop := c.agent()
	defer func() { stop() }()
	if out := c.must("wait", "tap1"); out != "tap1 on bridge br0: enforced, checks mac\n" {
		t.Errorf("wait: %q", out)
	}
	c.must("set", "tap1", "--address", "192.0.2.1", "--seq", "7")
	if out := c.must("wait", "tap1", "--seq", "7"); out != "tap1 on bridge br0: enforced, checks mac,arp,ip, seq 7\n" {
		t.Errorf("wait --seq: %q", out)
	}
	c.fails(exit.Timeout, "waits for vifguard-seq=8; state enforced, seq 7", "wait", "tap1", "--seq", "8", "--timeout", "50ms")

	// A port that doesn't exist yet.
	end := c.later("wait", "tap2", "--seq", "a", "-o", "json")
	c.MustPort("br0", "tap2", lab.PortOptions{OFPort: 3, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:02", "port-security-seq": "a", "port-security-action": "observe"}})
	out, err := end()
	var r report.Wait
	if jsonErr := json.Unmarshal([]byte(out), &r); err != nil || jsonErr != nil {
		t.Fatalf("wait for a port to come: %v, %v\n%s", err, jsonErr, out)
	}
	if want := (report.Wait{Port: "tap2", Bridge: "br0", Settled: true, State: "observed", Checks: "mac", Seq: "a"}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	c.fails(exit.No, "tap2 is observed, and not enforced as asked for", "wait", "tap2", "--state", "enforced")

	// Blocked is settled, and no success unless asked for.
	c.must("set", "tap2", "--action", "enforce", "--checks", "block", "--seq", "b")
	c.fails(exit.Blocked, "tap2 is blocked (port-security)", "wait", "tap2")
	c.must("wait", "tap2", "--state", "blocked")
	c.MustSetIDs("tap2", map[string]string{"port-security": "mac", "attached-mac": "nonsense", "port-security-seq": "c"})
	c.fails(exit.Blocked, `attached-mac: "nonsense" is not a MAC address`, "wait", "tap2", "--timeout", "20s")
}

// A change of addresses without a sequence number shows only in the switch.
func TestWaitLooksAtTheSwitch(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	c.must("set", "tap1", "--address", "192.0.2.1")
	stop := c.agent()
	c.must("wait", "tap1")
	stop()
	c.must("set", "tap1", "--address", "192.0.2.2")
	c.fails(exit.Timeout, "tap1 waits for the switch to have its flows; state enforced", "wait", "tap1", "--timeout", "300ms")
	end := c.later("wait", "tap1")
	stop = c.agent()
	defer stop()
	if out, err := end(); err != nil {
		t.Errorf("wait while the agent starts: %v\n%s", err, out)
	}
}

func TestWaitUsage(t *testing.T) {
	c := newConsole(t)
	c.fails(exit.Usage, "an argument is missing", "wait")
	c.fails(exit.Usage, `"pending" is not a settled state (want enforced, exposed, observed, off, blocked, quarantined)`, "wait", "tap1", "--state", "pending")
	c.fails(exit.Usage, "is no time to wait", "wait", "tap1", "--timeout", "0s")
	c.fails(exit.Usage, "-o: \"xml\" is not a format (want text or json)", "wait", "tap1", "-o", "xml")
}
