package main

import (
	"strings"
	"testing"

	"github.com/vifguard/vifguard/model"
)

// settings is what a bridge and tap1's Port say beside external_ids.
func (c *console) settings() string {
	return c.failMode() + " " + strings.TrimSpace(c.MustVsctl("get", "Bridge", "br0", "other_config")) + " " +
		strings.TrimSpace(c.MustVsctl("get", "Port", "tap1", "other_config", "external_ids"))
}

// awaitAgent waits until the agent is known to run.
func (c *console) awaitAgent() {
	c.t.Helper()
	c.MustWait("the agent", func() (bool, error) {
		id, err := c.Map("Open_vSwitch", ".", "external_ids")
		return id[model.KeyAgent] != "", err
	})
}

// Guard closes the bridge to guests that speak as its manager, and release gives back exactly
// what was, whoever gives it back, and twice as well as once.
func TestGuardClosesAndReleaseGivesBack(t *testing.T) {
	const remote = "192.0.2.77"
	for name, test := range map[string]struct {
		set     []string
		release func(c *console)
		agent   bool
	}{
		"unset, by release":               {release: func(c *console) { c.must("release", "br0") }},
		"false, by release":               {set: []string{"set", "Bridge", "br0", "other_config:disable-in-band=false", "other_config:other=1"}, release: func(c *console) { c.must("release", "br0") }},
		"true, by release":                {set: []string{"set", "Bridge", "br0", "other_config:disable-in-band=true"}, release: func(c *console) { c.must("release", "br0") }},
		"standalone, beside an agent":     {agent: true, set: []string{"set-fail-mode", "br0", "standalone"}, release: func(c *console) { c.must("release", "br0") }},
		"unset, by an agent":              {agent: true, release: func(c *console) { c.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security") }},
		"false, by an agent":              {agent: true, set: []string{"set", "Bridge", "br0", "other_config:disable-in-band=false"}, release: func(c *console) { c.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security") }},
		"a spanning tree, by an agent":    {agent: true, set: []string{"set", "Bridge", "br0", "stp_enable=true"}, release: func(c *console) { c.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security") }},
		"a spanning tree, by release":     {agent: true, set: []string{"set", "Bridge", "br0", "stp_enable=true"}, release: func(c *console) { c.must("release", "br0") }},
		"secure already, beside an agent": {agent: true, set: []string{"set-fail-mode", "br0", "secure"}, release: func(c *console) { c.must("release", "br0") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConsole(t)
			if test.set != nil {
				c.MustVsctl(test.set...)
			}
			before := c.settings()
			c.MustVsctl("set-manager", "tcp:"+remote+":6640")
			args := []string{"guard", "br0"}
			if test.agent {
				defer c.agent()()
				c.awaitAgent()
				args = append(args, "--secure")
			}
			out := c.must(args...)
			if strings.Contains(out, "(in-band") {
				t.Errorf("guard hasn't closed it:\n%s", out)
			}
			if warned := strings.Contains(out, "Manager tcp:"+remote+":6640 has no in-band way through br0 any more. If it is reached through that bridge, it waits after a\nrestart of"); warned == strings.Contains(before, `disable-in-band="true"`) {
				t.Errorf("who could be cut off:\n%s", out)
			}
			if dump := c.MustAppctl("bridge/dump-flows", "br0"); strings.Contains(dump, "priority=18000") {
				t.Errorf("hidden flows:\n%s", dump)
			}
			if got := c.settings(); !strings.Contains(got, `disable-in-band="true"`) || test.agent && !strings.HasPrefix(got, "secure ") {
				t.Errorf("closed: %s", got)
			}
			if test.agent {
				c.must("wait", "tap1")
			}
			c.must(append(args, "--action", "enforce")...)
			test.release(c)
			c.MustWait("all to be as before", func() (bool, error) { return c.settings() == before, nil })
			if ids := c.MustVsctl("get", "Bridge", "br0", "external_ids"); strings.Contains(ids, "vifguard") {
				t.Errorf("keys after release: %s", ids)
			}
		})
	}
}

// What release has to give back and no agent does, it gives back by itself, and verify says so
// of what was left.
func TestReleaseWithoutAnAgent(t *testing.T) {
	c := newConsole(t)
	c.MustVsctl("set", "Bridge", "br0", "stp_enable=true")
	before := c.settings()
	stop := c.agent()
	c.awaitAgent()
	c.must("guard", "br0", "--secure")
	c.must("wait", "tap1")
	c.MustWait("the agent to close the Port", func() (bool, error) { return strings.Contains(c.settings(), "stp-enable"), nil })
	stop()
	c.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
	out, err := c.run("verify", "br0", "--all")
	for _, want := range []string{"vifguard-in-band=unset", "vifguard-fail-mode=unset", "vifguard-closed=stp-enable"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("verify doesn't say %q: %v\n%s", want, err, out)
		}
	}
	c.must("release", "br0")
	if after := c.settings(); after != before {
		t.Errorf("after release: %s, before: %s", after, before)
	}
	c.must("verify", "br0")
}

// Guard prints what it can't close, with what closes it.
func TestGuardPrintsWhatRemains(t *testing.T) {
	c := newConsole(t)
	c.MustVsctl("set", "Interface", "tap1", "bfd:enable=true")
	out := c.must("guard", "br0")
	for _, want := range []string{
		"What remains to be closed, or to be known", "  exposed: ", "(bfd; close it: ovs-vsctl clear Interface tap1 bfd)",
		"  notice: sends anything after a restart of ovs-vswitchd, until vifguard has programmed the bridge again (fail-mode; close it: vifguard guard --secure br0)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("guard doesn't say %q:\n%s", want, out)
		}
	}
	c.MustVsctl("clear", "Interface", "tap1", "bfd")
	defer c.agent()()
	c.awaitAgent()
	if out := c.must("guard", "br0", "--secure"); !strings.Contains(out, "Nothing decides about frames beside the checks.") {
		t.Errorf("with nothing left:\n%s", out)
	}
}

// A controller that could be cut off is named, and stops guard unless it is forced.
func TestGuardNamesControllers(t *testing.T) {
	c := newConsole(t)
	c.MustVsctl("set-controller", "br0", "tcp:192.0.2.9:6653")
	out, err := c.run("guard", "br0")
	if err == nil || !strings.Contains(err.Error(), "disable-in-band=true, which is set with it, may cut off controller tcp:192.0.2.9:6653, if that is reached through this bridge") {
		t.Errorf("guard: %v\n%s", err, out)
	}
	if got := c.settings(); strings.Contains(got, "disable-in-band") {
		t.Errorf("refused, but written: %s", got)
	}
	out = c.must("guard", "br0", "--force")
	if !strings.Contains(out, "Controller tcp:192.0.2.9:6653 has no in-band way through br0 any more") || strings.Contains(out, "(in-band") || !strings.Contains(out, "(fail-open; close it: ovs-vsctl set-fail-mode br0 secure)") {
		t.Errorf("guard --force:\n%s", out)
	}
}

// What isn't named on the command line stays.
func TestGuardKeepsWhatIsNotNamed(t *testing.T) {
	c := newConsole(t)
	defer c.agent()()
	c.awaitAgent()
	c.must("guard", "br0", "--checks", "mac,arp", "--flood", "1000")
	c.must("guard", "br0", "--secure")
	c.must("guard", "br0", "--unmarked", "trust")
	for key, want := range map[string]string{model.KeyChecks: "mac,arp", model.KeyFlood: "1000", model.KeyUnmarked: "trust"} {
		if ids, err := c.Map("Bridge", "br0", "external_ids"); err != nil || ids[key] != want {
			t.Errorf("%s: %v, %v", key, ids, err)
		}
	}
	c.MustVsctl("set", "Bridge", "br0", "external_ids:port-security=off")
	c.must("guard", "br0")
	if ids, err := c.Map("Bridge", "br0", "external_ids"); err != nil || ids[model.KeyChecks] != "auto" {
		t.Errorf("a bridge that was off: %v, %v", ids, err)
	}
}
