package main

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// Adopting a host that already runs: observe, see, correct, enforce.
func TestAdoptABridge(t *testing.T) {
	c := newConsole(t)
	for i, name := range []string{"good", "bad", "strict", "nomac"} {
		c.MustPort("br0", name, lab.PortOptions{OFPort: 11 + i, ExternalIDs: map[string]string{
			"attached-mac": "52:54:00:00:00:1" + string('1'+rune(i)), "allowed-addresses": "192.0.2.1" + string('1'+rune(i))}})
	}
	c.MustSetIDs("nomac", map[string]string{"attached-mac": ""})
	c.MustSetIDs("strict", map[string]string{"port-profile": "strict"})
	c.MustVsctl("set", "Open_vSwitch", ".", "external_ids:port-security-profile-strict=action=enforce")

	out := c.must("observe", "br0")
	for _, want := range []string{
		"Bridge br0 is guarded and only observed: nothing of 4 VIFs is dropped", "strict stays on enforce: profile strict says so\n",
		"nomac would be blocked: no usable attached-mac\n", "vifguard enforce br0",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("observe doesn't say %q:\n%s", want, out)
		}
	}
	if out := c.fails(exit.No, "nothing written", "enforce", "br0"); !strings.Contains(out, "good: isn't observed yet, the switch has other flows (is the agent running?)") {
		t.Errorf("enforce before the agent observed:\n%s", out)
	}
	if out := c.fails(exit.No, "nothing written", "enforce", "br0", "bad"); strings.Count(out, "bad: isn't observed yet") != 1 {
		t.Errorf("enforce of a bridge and one of its ports doesn't list the port once:\n%s", out)
	}
	stop := c.agent()
	for _, port := range []string{"good", "bad", "nomac"} {
		c.must("wait", port, "--state", "observed")
	}
	c.must("wait", "strict", "--state", "enforced")
	stop()
	if out := c.must("explain", "bad"); !regexp.MustCompile(`action +observe +the bridge's default\n`).MatchString(out) {
		t.Errorf("explain doesn't show where the action is from:\n%s", out)
	}

	// Everything passes, and is counted.
	spoof := lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:12"), netip.MustParseAddr("192.0.2.99"))
	if c.MustReach("bad", spoof)["eth0"] == nil {
		t.Error("a frame of an observed VIF was dropped")
	}
	c.MustPurge()
	out = c.fails(exit.No, "nothing written: enforce would hurt the above", "enforce", "br0")
	if !strings.Contains(out, "bad: would have been dropped: arp 1, last 0s ago\n") || strings.Contains(out, "good") || strings.Contains(out, "strict") {
		t.Errorf("enforce with a violation:\n%s", out)
	}
	if ids := c.MustVsctl("get", "Bridge", "br0", "external_ids:port-security-action"); !strings.Contains(ids, "observe") {
		t.Errorf("a refused enforce wrote %s", ids)
	}
	c.fails(exit.No, "nothing written", "enforce", "bad")
	c.must("enforce", "good")
	c.MustAppctl("time/stop")
	c.MustAppctl("time/warp", "7200000")
	c.fails(exit.No, "nothing written", "enforce", "bad", "--since", "3h")
	if out := c.must("enforce", "bad", "--since", "1h", "--dry-run"); out != "Nothing written (--dry-run).\n" {
		t.Errorf("--dry-run: %q", out)
	}
	out = c.must("enforce", "br0", "--force")
	if !strings.Contains(out, "bad: would have been dropped: arp 1, last 2h ago\n") || !strings.Contains(out, "Bridge br0 enforces: what 5 VIFs may not send is dropped.\n") {
		t.Errorf("enforce --force:\n%s", out)
	}
	stop = c.agent()
	defer stop()
	c.must("wait", "bad", "--state", "enforced")
	if c.MustReach("bad", spoof)["eth0"] != nil {
		t.Error("a frame of an enforced VIF passed")
	}
}

// A bridge whose action can't be read enforces, and every VIF of it says why.
func TestBadActionOfABridge(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0", "--action", "observe")
	stop := c.agent()
	defer stop()
	c.must("wait", "tap1", "--state", "observed")
	c.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-action=obsrve")
	c.must("wait", "tap1", "--state", "enforced")
	c.MustWait("the error", func() (bool, error) {
		return strings.Contains(c.MustIDs("tap1")["vifguard-error"], `port-security-action: "obsrve" is not valid (want enforce or observe); enforce is used`), nil
	})
	c.must("release", "br0")
	if ids, err := c.Map("Bridge", "br0", "external_ids"); err != nil || len(ids) != 0 {
		t.Errorf("left after release: %v, %v", ids, err)
	}
}

func TestObserveAndEnforceRefuse(t *testing.T) {
	c := newConsole(t)
	c.fails(exit.NotFound, `no bridge or interface "br9"; did you mean br0?`, "observe", "br9")
	c.fails(exit.NotFound, `no bridge or interface "zzz"`, "observe", "tap1", "zzz")
	c.fails(exit.Usage, "bridge br0 isn't guarded (look first: vifguard observe br0", "enforce", "br0")
	c.fails(exit.Usage, "eth0 has no key of vifguard, so it is trusted", "enforce", "eth0")
	c.fails(exit.Usage, "eth0 has no key of vifguard", "observe", "eth0")
	c.fails(exit.Usage, "lies in the future", "enforce", "tap1", "--since", "-1h")
	c.fails(exit.Usage, "an argument is missing", "observe")
	if ids := c.MustIDs("tap1"); ids[model.KeyAction] != "" {
		t.Errorf("written though another name was wrong: %v", ids)
	}
	if out := c.must("observe", "tap1"); !strings.Contains(out, "Bridge br0 isn't guarded, so nothing is checked") || c.MustIDs("tap1")[model.KeyAction] != "observe" {
		t.Errorf("observe of a port: %s", out)
	}
	c.must("guard", "br0")
	c.MustRun(c.KillVswitchd)
	if out := c.fails(exit.No, "nothing written", "enforce", "tap1"); !strings.Contains(out, "the counters can't be read: bridge br0: nobody listens") {
		t.Errorf("enforce without a switch:\n%s", out)
	}
}
