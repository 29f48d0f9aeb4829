package main

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/test/lab"
)

// What every command says of a VIF that is quarantined, and how to get it out.
func TestQuarantine(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0", "--flood", "500")
	c.fails(exit.Usage, `port-security-flood: "much" is not valid (want off, or how many refused frames a second lead to quarantine, 1 to 1000000)`, "set", "tap1", "--flood", "much")
	stop := c.agent()
	defer func() { stop() }()
	c.must("wait", "tap1")
	if out := c.must("explain", "tap1"); !strings.Contains(out, "flood limit    500 refused frames/s  the bridge's default\n") {
		t.Errorf("explain: %s", out)
	}
	c.must("set", "tap1", "--address", "192.0.2.1", "--flood", "1", "--seq", "1")
	c.must("wait", "tap1", "--seq", "1")
	spoofed := hex.EncodeToString(lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:66")))
	c.MustAppctl(append([]string{"netdev-dummy/receive", "tap1"}, slices.Repeat([]string{spoofed}, 50)...)...)
	c.awaitState("tap1", "quarantined")

	const until, why = "quarantined for 10s until 20", "refused frames/s, the limit is 1"
	good := hex.EncodeToString(lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:01"), netip.MustParseAddr("192.0.2.1")))
	for _, command := range []struct {
		args []string
		say  []string
	}{
		{[]string{"status", "tap1"}, []string{"quarantined", until, why}},
		{[]string{"status", "tap1", "-o", "json"}, []string{`"state": "quarantined"`, `"in_force": true`, `"quarantine": "10s until 20`}},
		{[]string{"explain", "tap1"}, []string{"Now nothing it sends passes: it is " + until, "yes, the switch has exactly these flows (agent: quarantined)", "0  quarantined: too many frames a second were refused\n"}},
		{[]string{"explain", "tap1", "--flows"}, []string{"table=0,priority=40700,hard_timeout=15,in_port=2 actions=load:0xb0000->NXM_NX_REG15[0..31],goto_table:5\n"}},
		{[]string{"explain", "tap1", "-o", "json"}, []string{`"flood": "1"`, `"flood_from": "port-security-flood"`, `->NXM_NX_REG15[0..31],goto_table:5"`, `"quarantined": true`}},
		{[]string{"trace", "tap1", good}, []string{"dropped, reason flood: quarantined: too many frames a second were refused"}},
		{[]string{"verify"}, []string{"br0: agrees"}},
		{[]string{"wait", "tap1", "--state", "quarantined"}, []string{"tap1 on bridge br0: quarantined, checks mac,arp,ip, seq 1"}},
	} {
		out := c.must(command.args...)
		for _, text := range command.say {
			if !strings.Contains(out, text) {
				t.Errorf("%v doesn't say %q:\n%s", command.args, text, out)
			}
		}
	}
	c.must("set", "tap1", "--address", "192.0.2.1,192.0.2.2", "--seq", "2")
	c.fails(exit.Blocked, "tap1 is "+until, "wait", "tap1", "--seq", "2")

	c.must("unset", "tap1", "--flood")
	c.must("set", "tap1", "--seq", "3")
	c.must("wait", "tap1", "--seq", "3")
	if out := c.must("trace", "tap1", good); !strings.Contains(out, "passes: ") {
		t.Errorf("trace afterwards: %s", out)
	}
	if out := c.must("verify"); !strings.Contains(out, "br0: agrees") {
		t.Errorf("verify afterwards: %s", out)
	}
	stop()
	stop = func() {}

	// Flows of a quarantine that the agent's report doesn't know of.
	c.MustOfctl("-O", "OpenFlow13", "add-flow", "br0", "cookie=0x"+cookieOf(c, "tap1")+",table=0,priority=40700,hard_timeout=60,in_port=2 actions=load:0xb0000->NXM_NX_REG15[0..31],goto_table:5")
	out := c.fails(exit.No, "differ", "verify")
	if !strings.Contains(out, "- vifguard-state=quarantined\n") || !strings.Contains(out, "+ vifguard-state=enforced\n") {
		t.Errorf("verify without the agent: %s", out)
	}
	c.fails(exit.Timeout, "waits for the agent to report that a quarantine has begun or ended", "wait", "tap1", "--timeout", "50ms")
}

// cookieOf returns the cookie, in hexadecimal, of a VIF's flows that count nothing.
func cookieOf(c *console, port string) string {
	uuid := strings.TrimSpace(c.MustVsctl("get", "Interface", port, "_uuid"))
	return "766700" + uuid[:8] + uuid[9:11]
}
