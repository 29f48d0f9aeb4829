package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
)

func TestVerify(t *testing.T) {
	c := newConsole(t)
	c.MustBridge("br1")
	if out := c.must("verify"); out != "br0: not guarded, and nothing of vifguard's on it\nbr1: not guarded, and nothing of vifguard's on it\n" {
		t.Errorf("nothing guarded: %q", out)
	}
	c.must("guard", "br0")
	out := c.fails(exit.No, "1 of 2 bridges differ from what OVSDB asks for", "verify")
	for _, want := range []string{`br0: differs: 1 fragments, (\d+) missing, 2 status\n`, `none of the (\d+) flows is there: is the agent \(vifguard run\) running\?\n`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("before the agent: verify doesn't say %q:\n%s", want, out)
		}
	}
	if out := c.fails(exit.No, "differ", "verify", "br0", "--all"); strings.Count(out, "  missing: ") < 60 {
		t.Errorf("--all:\n%s", out)
	}
	stop := c.agent()
	c.must("set", "tap1", "--address", "192.0.2.1", "--seq", "1")
	c.must("wait", "tap1")
	stop()
	if out := c.must("verify", "br0"); !regexp.MustCompile(`^br0: agrees, \d+ flows as OVSDB asks for, and nothing decides beside them\n  notice: .*\(fail-mode; close it: vifguard guard --secure br0\)\n$`).MatchString(out) {
		t.Errorf("in force: %q", out)
	}
	c.fails(exit.NotFound, "did you mean br0?", "verify", "br2")
}

// Every way in which a switch can differ is found, named, and said to be whose it is.
func TestVerifyNamesEachDifference(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	c.must("set", "tap1", "--address", "192.0.2.1", "--seq", "1")
	stop := c.agent()
	c.must("wait", "tap1")
	stop()
	mgmt := c.Mgmt("br0")
	id := strings.TrimSpace(c.MustVsctl("get", "Interface", "tap1", "_uuid"))
	id = id[:8] + id[9:11]
	own := "cookie=0x766700" + id
	for name, test := range map[string]struct {
		damage []string // of ovs-ofctl
		want   []string
	}{
		"missing": {
			[]string{"--strict", "del-flows", mgmt, "table=4,priority=40400,ip,in_port=2,dl_src=52:54:00:00:00:01,nw_src=192.0.2.1"},
			[]string{"br0: differs: 1 missing\n", "  missing: tap1, VM 6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11: IPv4 source 192.0.2.1@52:54:00:00:00:01\n",
				"    - " + own + ",table=4,priority=40400,in_port=2,dl_src=52:54:00:00:00:01,dl_type=0x0800,nw_src=192.0.2.1 actions=goto_table:6\n"},
		},
		"a counter is missing": {
			[]string{"--strict", "del-flows", mgmt, "table=5,priority=40400,in_port=2,reg15=0x40000/0xff0000"},
			[]string{"  missing: tap1, VM 6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11, reason arp: counts and drops arp\n"},
		},
		"changed actions": {
			[]string{"--strict", "mod-flows", mgmt, "table=1,priority=40000,actions=NORMAL"},
			[]string{"br0: differs: 1 changed\n", "  changed: foreign Ethernet source\n",
				"    - cookie=0x7667000000000000,table=1,priority=40000 actions=goto_table:5\n",
				"    + cookie=0x7667000000000000,table=1,priority=40000 actions=NORMAL\n"},
		},
		"replaced by somebody": {
			[]string{"add-flow", mgmt, "cookie=0x5,table=1,priority=40000,actions=goto_table:6"},
			[]string{"br0: differs: 1 exposed, 1 changed, 2 status\n", "    + cookie=0x5,table=1,priority=40000 actions=goto_table:6\n"},
		},
		"unexpected of a port": {
			[]string{"add-flow", mgmt, own + ",table=1,priority=40400,in_port=2,dl_src=52:54:00:00:00:99,actions=goto_table:6"},
			[]string{"br0: differs: 1 unexpected\n", "  unexpected: tap1, VM 6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11: its policy doesn't ask for it\n",
				"    + " + own + ",table=1,priority=40400,in_port=2,dl_src=52:54:00:00:00:99 actions=goto_table:6\n"},
		},
		"of a port that is gone": {
			[]string{"add-flow", mgmt, "cookie=0x7667000000000009,table=0,priority=40400,in_port=77,actions=goto_table:6"},
			[]string{"  unexpected: its port isn't on the bridge any more\n"},
		},
		"foreign": {
			[]string{"add-flow", mgmt, "cookie=0x5,table=0,priority=50000,in_port=2,actions=NORMAL"},
			[]string{"br0: differs: 1 exposed, 1 foreign, 2 status\n", "  exposed: passes around the checks through a flow of somebody else in vifguard's tables: cookie=0x5,table=0,priority=50000,in_port=2 actions=NORMAL (foreign-flow; close it: ",
				"  foreign: takes precedence over the checks", "    + cookie=0x5,table=0,priority=50000,in_port=2 actions=NORMAL\n"},
		},
		"fragments": {
			[]string{"set-frags", mgmt, "normal"},
			[]string{"br0: differs: 1 fragments\n", "    - nx-match\n    + normal\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.MustOfctl("--no-stats", "dump-flows", mgmt)
			c.MustOfctl(test.damage...)
			out := c.fails(exit.No, "differ", "verify", "br0")
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("verify doesn't say %q:\n%s", want, out)
				}
			}
			c.restore(mgmt, before)
			c.must("verify", "br0")
		})
	}
	t.Run("harmless flows of others", func(t *testing.T) {
		c.MustOfctl("add-flow", mgmt, "cookie=0x5,table=9,priority=50000,actions=drop")
		c.MustOfctl("add-flow", mgmt, "cookie=0x5,table=0,priority=100,in_port=2,actions=drop")
		c.must("verify", "br0")
	})
	t.Run("status", func(t *testing.T) {
		c.MustSetIDs("tap1", map[string]string{"vifguard-state": "blocked", "vifguard-seq": "", "vifguard-error": "odd"})
		c.MustSetIDs("eth0", map[string]string{"vifguard-state": "enforced"})
		var results []report.Verification
		if err := json.Unmarshal([]byte(c.fails(exit.No, "differ", "verify", "br0", "-o", "json")), &results); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range results[0].Differences {
			got = append(got, d.Kind+" "+d.Port+" -"+d.Want+" +"+d.Have)
		}
		want := "status eth0 - +vifguard-state=enforced;status tap1 -vifguard-state=enforced +vifguard-state=blocked;" +
			"status tap1 - +vifguard-error=odd;status tap1 -vifguard-seq=1 +"
		if s := strings.Join(got, ";"); s != want {
			t.Errorf("got  %s\nwant %s", s, want)
		}
	})
	t.Run("bridges that can't be compared", func(t *testing.T) {
		c.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-first-table=300")
		if out := c.fails(exit.No, "differ", "verify"); !strings.Contains(out, `unusable: port-security-first-table: "300"`) {
			t.Errorf("unusable:\n%s", out)
		}
		c.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security", "--", "remove", "Bridge", "br0", "external_ids", "port-security-first-table",
			"--", "set", "Bridge", "br0", "external_ids:vifguard-fail-mode=unset")
		out := c.fails(exit.No, "differ", "verify", "--all")
		if !strings.Contains(out, "unexpected: the bridge isn't guarded") || !strings.Contains(out, "status: tap1") || !strings.Contains(out, "left on the bridge, which isn't guarded\n    + vifguard-fail-mode=unset\n") {
			t.Errorf("no longer guarded:\n%s", out)
		}
		c.must("guard", "br0")
		c.MustRun(c.KillVswitchd)
		if out := c.fails(exit.NoSwitch, "nobody listens", "verify"); !strings.Contains(out, "br0: can't be read\n") {
			t.Errorf("without ovs-vswitchd:\n%s", out)
		}
	})
}

// restore makes the flows what they were, and the fragment mode nx-match.
func (c *console) restore(mgmt, dump string) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "flows")
	flows := regexp.MustCompile(`(?m)^OFPST.*\n`).ReplaceAllString(strings.ReplaceAll(dump, " reset_counts", ""), "")
	if err := os.WriteFile(file, []byte(flows), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.MustOfctl("del-flows", mgmt)
	c.MustOfctl("--bundle", "add-flows", mgmt, file)
	c.MustOfctl("set-frags", mgmt, "nx-match")
}
