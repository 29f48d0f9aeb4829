package main

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/advice"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// sh runs a command line as printed: a shell splits it.
func (c *console) sh(command string) {
	c.t.Helper()
	out, err := exec.Command("sh", "-c", `vifguard() { printf '%s\n' "$@"; }; `+command).Output()
	if err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	c.must(strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")...)
}

// printed are the commands in the text of advise.
func printed(out string) (commands []string) {
	for _, line := range strings.Split(strings.ReplaceAll(out, " \\\n", " "), "\n") {
		if command := strings.TrimSpace(line); strings.HasPrefix(command, "vifguard set ") {
			commands = append(commands, command)
		}
	}
	return commands
}

// From observed frames to commands, and by the commands to frames that pass.
func TestAdviseAndObey(t *testing.T) {
	c := newConsole(t)
	c.MustPort("br0", "tap2", lab.PortOptions{OFPort: 3, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:02", "allowed-addresses": "192.0.2.2", "allowed-address-pairs": "192.0.2.100", "vm-id": "web2"}})
	c.MustSetIDs("tap1", map[string]string{"allowed-addresses": "192.0.2.11"})
	c.must("observe", "br0")
	stop := c.agent()
	defer func() { stop() }()
	c.must("wait", "tap1", "--state", "observed")
	c.must("wait", "tap2", "--state", "observed")
	if out := c.must("advise", "br0", "--control", c.control()); !strings.Contains(out, "VIFs: 2 clean, 0 with nothing to decide, 0 to decide") || !strings.Contains(out, "Next: vifguard enforce br0\n") {
		t.Errorf("advise before anything was sent:\n%s", out)
	}

	own, all := lab.MustMAC("52:54:00:00:00:01"), lab.MustMAC("52:54:00:00:00:99")
	ip := netip.MustParseAddr
	udp := func(src string) []byte {
		return lab.UDPFrame(all, own, netip.AddrPortFrom(ip(src), 1000), netip.MustParseAddrPort("192.0.2.9:2000"), []byte("x"))
	}
	virtual := lab.VirtualMAC(7, false)
	good := map[string][]byte{
		"a forgotten address":        lab.GratuitousARP(own, ip("192.0.2.66")),
		"a packet from it":           udp("192.0.2.66"),
		"a failover address":         lab.GratuitousARP(own, ip("192.0.2.100")),
		"an address of VRRP":         lab.GratuitousARP(virtual, ip("192.0.2.50")),
		"PPPoE":                      lab.Ether(all, own, 0x8863, make([]byte, 46)),
		"a DHCP offer":               lab.DHCPv4Server(own, ip("192.0.2.11"), all, 2, ip("192.0.2.12")),
		"its own address, as before": udp("192.0.2.11"),
	}
	bad := map[string][]byte{
		"another VIF's address": lab.GratuitousARP(own, ip("192.0.2.2")),
		"another VIF's MAC":     lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:02")),
		"a foreign MAC":         lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:77")),
		"noise":                 udp("169.254.7.7"),
	}
	// The meter lets few samples a second through, so frames are repeated until the agent
	// has seen each kind.
	claims := func() int {
		r, err := control.Claims(t.Context(), c.control())
		if err != nil || len(r.VIFs) == 0 {
			return 0
		}
		return len(r.VIFs[0].Claims)
	}
	seen := func(frames map[string][]byte) {
		for what, f := range frames {
			if what == "its own address, as before" {
				continue
			}
			before := claims()
			c.MustWait("a sample of "+what, func() (bool, error) { c.MustInject("tap1", f); return claims() > before, nil })
		}
	}
	seen(good)
	seen(bad)

	out := c.fails(exit.No, "1 VIF is left to decide", "advise", "br0", "--control", c.control())
	for _, want := range []string{
		"tap1 on br0, VM 6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11: would have been dropped: ",
		"suspicious: sent with the MAC 52:54:00:00:00:02", "It is the MAC of tap2 (VM web2)", "It is owned by tap2 (VM web2).",
		"vifguard set tap1 --address 192.0.2.11,192.0.2.66\n", "harmless: used 169.254.7.7",
		"VIFs: 1 clean, 0 with nothing to decide, 1 to decide",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("advise doesn't say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "Next:") {
		t.Errorf("a next step while there is something to decide:\n%s", out)
	}
	for _, line := range strings.Split(out, "\n") {
		if len(line) > term.MaxColumns {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
	commands := printed(out)
	if len(commands) < 5 {
		t.Fatalf("%d commands:\n%s", len(commands), out)
	}
	for _, command := range commands {
		c.sh(command)
	}
	c.must("enforce", "br0", "--force")
	c.must("wait", "tap1", "--state", "enforced")
	for what, f := range good {
		if c.MustReach("tap1", f)["eth0"] == nil {
			t.Errorf("%s is dropped, though the commands were run", what)
		}
	}
	for what, f := range bad {
		if c.MustReach("tap1", f)["eth0"] != nil {
			t.Errorf("%s passes", what)
		}
	}

	// Enforced VIFs get advice too, and what was corrected is settled.
	var r report.Advice
	text := c.fails(exit.No, "1 VIF is left to decide", "advise", "tap1", "-o", "json", "--control", c.control())
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	verdicts := make(map[string]int)
	for _, f := range r.VIFs[0].Findings {
		verdicts[string(f.Verdict)]++
		if f.Command != "" {
			t.Errorf("a command again: %+v", f)
		}
	}
	if len(r.VIFs) != 1 || r.Decided || verdicts["suspicious"] != 3 || verdicts["harmless"] != 1 || verdicts["settled"] == 0 || len(r.Next) != 0 {
		t.Errorf("advise on an enforced VIF: %s", text)
	}
	if out := c.must("advise", "tap2", "--control", c.control()); !strings.Contains(out, "Nothing is left to decide, and everything is enforced.") {
		t.Errorf("a clean VIF: %s", out)
	}
}

func TestAdviseRefuses(t *testing.T) {
	c := newConsole(t)
	c.fails(exit.Usage, "an argument is missing", "advise")
	c.fails(exit.NotFound, `no bridge or interface "br9"; did you mean br0?`, "advise", "br9")
	c.fails(exit.Usage, "bridge br0 isn't guarded, so nothing of it is refused (start with: vifguard observe br0)", "advise", "tap1")
	c.must("observe", "br0")
	c.fails(exit.Usage, "eth0 isn't checked", "advise", "eth0")
	c.fails(exit.Usage, `-o: "xml" is not a format`, "advise", "br0", "-o", "xml")
	c.fails(exit.No, "no agent answers at "+c.control(), "advise", "br0", "--control", c.control())
}

// The next step is a command that enforce won't refuse for what advise has explained.
func TestAdviseNext(t *testing.T) {
	vif := func(port, action string, verdicts ...advice.Verdict) report.AdviceVIF {
		v := report.AdviceVIF{Bridge: "br0", Port: port, Action: action, Decided: true}
		for _, verdict := range verdicts {
			v.Findings = append(v.Findings, advice.Finding{Verdict: verdict})
		}
		return v
	}
	bridge, ports := &asked{bridge: &model.Bridge{Name: "br0"}}, &asked{bridge: &model.Bridge{Name: "br0"}, ports: []*model.Interface{{}}}
	for want, got := range map[string][]string{
		"":                                 next(bridge, []report.AdviceVIF{vif("a", "enforce", advice.Harmless)}),
		"vifguard enforce br0":             next(bridge, []report.AdviceVIF{vif("a", "observe"), vif("b", "enforce", advice.Settled)}),
		"vifguard enforce br0 --since 1h":  next(bridge, []report.AdviceVIF{vif("a", "observe", advice.Settled), vif("b", "observe")}),
		"vifguard enforce br0 --force":     next(bridge, []report.AdviceVIF{vif("a", "observe", advice.Settled, advice.Harmless)}),
		"vifguard enforce a 'b c'":         next(ports, []report.AdviceVIF{vif("a", "observe"), vif("b c", "observe")}),
		"vifguard enforce 'x;y' --force":   next(ports, []report.AdviceVIF{vif("x;y", "observe", advice.Harmless), vif("z", "enforce")}),
		"vifguard enforce only --since 1h": next(ports, []report.AdviceVIF{vif("only", "observe", advice.Settled)}),
	} {
		if strings.Join(got, "\n") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
