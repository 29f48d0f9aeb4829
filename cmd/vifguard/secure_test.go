package main

import (
	"strings"
	"testing"
)

func (c *console) failMode() string {
	return strings.Trim(c.MustVsctl("get", "Bridge", "br0", "fail_mode"), "[]\"\n")
}

// guard --secure closes the bridge against restarts of ovs-vswitchd, unless that would
// cut it off, and release gives it back as it was.
func TestGuardSecure(t *testing.T) {
	c := newConsole(t)
	refused := func(want string) {
		t.Helper()
		if _, err := c.run("guard", "br0", "--secure"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("guard --secure: %v; want %q", err, want)
		}
		if mode := c.failMode(); mode != "" {
			t.Errorf("fail_mode after a refusal: %q", mode)
		}
	}
	refused("no agent works on this Open vSwitch")
	if out := c.must("status"); !strings.Contains(out, "no agent works on this Open vSwitch") {
		t.Errorf("status without an agent: %s", out)
	}
	stop := c.agent()
	defer stop()
	c.must("guard", "br0")
	c.awaitState("tap1", "enforced")
	c.MustVsctl("set", "Bridge", "br0", "external_ids:vifguard-unguarded=1.5s until then")
	if out := c.must("status"); !strings.Contains(out, "notice: sends anything after a restart of ovs-vswitchd, until vifguard has programmed the bridge again (fail-mode; close it: vifguard guard --secure br0); last time that took 1.5s until then") || strings.Contains(out, "no agent works") {
		t.Errorf("status of an open bridge: %s", out)
	}
	c.MustOfctl("add-flow", "br0", "table=30,priority=5,actions=drop")
	refused("1 flows of others")
	c.MustOfctl("del-flows", "br0", "table=30")
	if out := c.must("guard", "br0", "--secure"); !strings.Contains(out, "The agent had its flows back after") {
		t.Errorf("guard --secure: %s", out)
	}
	if mode := c.failMode(); mode != "secure" {
		t.Errorf("fail_mode: %q", mode)
	}
	if out := c.must("status"); strings.Contains(out, "fail-mode") {
		t.Errorf("status of a closed bridge: %s", out)
	}
	if out := c.must("guard", "br0", "--secure"); strings.Contains(out, "flows back") {
		t.Errorf("a second time: %s", out)
	}
	c.must("release", "br0")
	if mode := c.failMode(); mode != "" {
		t.Errorf("fail_mode after release: %q", mode)
	}
	if dump := c.MustOfctl("dump-flows", "--no-stats", "br0"); strings.TrimSpace(dump) != "priority=0 actions=NORMAL" {
		t.Errorf("flows after release:\n%s", dump)
	}
	if ids := c.MustVsctl("get", "Bridge", "br0", "external_ids"); strings.Contains(ids, "vifguard") {
		t.Errorf("keys after release: %s", ids)
	}
}

// A bridge that opts out by its key alone gets its fail_mode back too.
func TestOptOutRestoresFailMode(t *testing.T) {
	c := newConsole(t)
	c.MustVsctl("set-fail-mode", "br0", "standalone")
	stop := c.agent()
	defer stop()
	c.must("guard", "br0", "--secure", "--force")
	c.awaitState("tap1", "enforced")
	c.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
	c.MustWait("fail_mode to be standalone again", func() (bool, error) { return c.failMode() == "standalone", nil })
}
