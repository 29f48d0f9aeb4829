package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/test/lab"
)

// way is a way around the checks of tap1.
type way struct {
	open, close []string // of ovs-vsctl, or of ovs-ofctl
	ofctl       bool
	kind        string
	all         bool // it concerns tap2, too
}

func ways() map[string]way {
	return map[string]way{
		"a manager that is reached in-band": {
			open: []string{"set-manager", "tcp:192.0.2.77:6640"}, close: []string{"del-manager"}, kind: "in-band", all: true,
		},
		"a flow of somebody else": {
			open:  []string{"add-flow", "br0", "table=0,priority=50000,in_port=2,actions=NORMAL"},
			close: []string{"--strict", "del-flows", "br0", "table=0,priority=50000,in_port=2"}, ofctl: true, kind: "foreign-flow",
		},
		"a protocol that the port speaks": {
			open: []string{"set", "Interface", "tap1", "bfd:enable=true"}, close: []string{"clear", "Interface", "tap1", "bfd"}, kind: "bfd",
		},
	}
}

func (c *console) do(w way, args []string) {
	c.t.Helper()
	if w.ofctl {
		c.MustOfctl(args...)
	} else {
		c.MustVsctl(args...)
	}
}

// statuses is what status says, by port.
func (c *console) statuses(args ...string) map[string]report.Status {
	c.t.Helper()
	var list []report.Status
	if err := json.Unmarshal([]byte(c.must(append([]string{"status", "-o", "json"}, args...)...)), &list); err != nil {
		c.t.Fatal(err)
	}
	byPort := make(map[string]report.Status)
	for _, s := range list {
		byPort[s.Port] = s
	}
	return byPort
}

// Every command says of each way around the checks the same in the same words, with an agent
// and without, and nothing of it once it is closed.
func TestExposedEverywhere(t *testing.T) {
	for name, w := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConsole(t)
			c.MustPort("br0", "tap2", lab.PortOptions{OFPort: 3, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:02"}})
			c.MustVsctl("set", "Bridge", "br0", "external_ids:port-security=auto", "fail_mode=secure")
			stop := c.agent()
			c.must("wait", "tap1")
			c.must("wait", "tap2")
			c.saysNothing(w)
			c.do(w, w.open)
			c.awaitState("tap1", "exposed")
			words := c.MustIDs("tap1")["vifguard-error"]
			if !strings.HasPrefix(words, "exposed: ") || !strings.Contains(words, "("+w.kind+"; close it: ") {
				t.Fatalf("the agent says %q", words)
			}
			c.saysExposed(w, words)
			stop()
			c.saysExposed(w, words)
			c.do(w, w.close)
			c.MustWait("nothing to be found any more", func() (bool, error) { return c.statuses()["tap1"].State == "enforced", nil })
			c.saysNothing(w) // though the last that the agent has reported is exposed
			c.do(w, w.open)
			c.MustSetIDs("tap1", map[string]string{"vifguard-state": "enforced", "vifguard-error": ""})
			c.MustWait("it to be found", func() (bool, error) { return c.statuses()["tap1"].State == "exposed", nil })
			c.saysExposed(w, words)
		})
	}
}

func (c *console) saysExposed(w way, words string) {
	t := c.t
	t.Helper()
	for _, args := range [][]string{{"status"}, {"status", "tap1"}, {"explain", "tap1"}} {
		if out := c.must(args...); !strings.Contains(out, words) {
			t.Errorf("%v doesn't say %q:\n%s", args, words, out)
		}
	}
	for _, args := range [][]string{{}, {"br0"}, {"tap1"}} {
		got := c.statuses(args...)
		if s := got["tap1"]; s.State != "exposed" || s.Error != words || !s.InForce {
			t.Errorf("status %v: %+v", args, s)
		}
		if s, ok := got["tap2"]; ok && (s.State == "exposed") != w.all {
			t.Errorf("status %v: %+v", args, s)
		}
	}
	if f := c.statuses()["tap1"].Findings; len(f) != 1 || f[0].Kind != w.kind || f[0].Words != words || len(f[0].Close) != 1 || f[0].All != w.all {
		t.Errorf("findings: %+v", f)
	}
	var e report.Explanation
	if err := json.Unmarshal([]byte(c.must("explain", "tap1", "-o", "json")), &e); err != nil || e.State != "exposed" || e.Error != words {
		t.Errorf("explain: %v, %+v", err, e)
	}
	c.fails(exit.Exposed, "tap1 is exposed: its rules are in force, but frames can pass around them; vifguard-error: "+words, "wait", "tap1")
	c.must("wait", "tap1", "--state", "exposed")
	if w.all {
		c.fails(exit.Exposed, "tap2 is exposed", "wait", "tap2")
	} else {
		c.must("wait", "tap2")
	}
	if out := c.fails(exit.No, "differ", "verify"); !strings.Contains(out, " 1 exposed") || !strings.Contains(out, "\n  "+words+"\n") {
		t.Errorf("verify doesn't say %q:\n%s", words, out)
	}
}

// saysNothing holds that commands say of nothing that it exposes tap1, whatever was reported.
func (c *console) saysNothing(w way) {
	t := c.t
	t.Helper()
	for _, args := range [][]string{{"status"}, {"status", "tap1"}, {"explain", "tap1", "-o", "json"}} {
		if out := c.must(args...); strings.Contains(out, w.kind) || strings.Contains(out, "exposed") {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	if s := c.statuses()["tap1"]; s.State != "enforced" || s.Error != "" || len(s.Findings) != 0 {
		t.Errorf("status: %+v", s)
	}
	c.must("wait", "tap1")
	if out, err := c.run("verify"); strings.Contains(out, " exposed") || err != nil && c.MustIDs("tap1")["vifguard-state"] == "enforced" {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// A notice is said, and is no difference.
func TestNoticeIsNoDifference(t *testing.T) {
	c := newConsole(t)
	c.MustVsctl("set", "Bridge", "br0", "external_ids:port-security=auto")
	stop := c.agent()
	c.must("wait", "tap1")
	stop()
	const words = "notice: sends anything after a restart of ovs-vswitchd, until vifguard has programmed the bridge again (fail-mode; close it: vifguard guard --secure br0)"
	if out := c.must("verify", "br0"); !strings.Contains(out, "br0: agrees") || !strings.Contains(out, "\n  "+words+"\n") {
		t.Errorf("verify:\n%s", out)
	}
	var results []report.Verification
	if err := json.Unmarshal([]byte(c.must("verify", "-o", "json", "br0")), &results); err != nil || !results[0].Agrees || len(results[0].Notices) != 1 || results[0].Notices[0].Words != words {
		t.Errorf("verify: %v, %+v", err, results)
	}
	if out := c.must("status"); !strings.Contains(out, "bridge br0: "+words) {
		t.Errorf("status:\n%s", out)
	}
	if s := c.statuses()["tap1"]; s.State != "enforced" || s.Error != "" || len(s.Findings) != 1 {
		t.Errorf("status: %+v", s)
	}
}
