package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// hostile is text that clears a screen, sets a terminal's title, turns the direction of
// writing, has control characters that JSON leaves as they are, and begins a line.
const hostile = "\x1b[2J\x1b]0;title\x07\u009b31m\u202e\x7f\r\nFORGED"

// hostileBridge and hostilePort are names that Open vSwitch takes, and hostileProfile one for a
// profile.
const (
	hostileBridge  = "br\x1b[2J\u009bJ\nFORGED"
	hostilePort    = "tap\x1b[2J\u009bJ\nFORGED"
	hostileProfile = "p\x1b[2J\nFORGED"
)

// newHostileConsole is a host on which everything that somebody else writes is hostile.
func newHostileConsole(t *testing.T) *console {
	c := newConsole(t)
	ids := map[string]string{"attached-mac": "52:54:00:00:00:02", "vm-id": hostile, "iface-id": hostile, "vm-name": hostile, "other": hostile}
	c.MustPort("br0", hostilePort, lab.PortOptions{OFPort: 3, ExternalIDs: ids})
	c.MustPort("br0", "tap3", lab.PortOptions{OFPort: 4, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:03", "vm-id": hostile, "allowed-addresses": "192.0.2.3"}})
	for i, key := range model.InputKeys() {
		name := "bad" + string(rune('a'+i))
		c.MustPort("br0", name, lab.PortOptions{OFPort: 10 + i, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:03", "vm-id": hostile, key: hostile}})
	}
	c.MustPort("br0", "prof", lab.PortOptions{OFPort: 40, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:04", "port-security-profile": hostileProfile}})
	c.MustBridge(hostileBridge, "external_ids:port-security=auto")
	c.MustPort(hostileBridge, "tap5", lab.PortOptions{OFPort: 2, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:05"}})
	status := map[string]string{}
	for _, key := range model.StatusKeys() {
		status[key] = hostile
	}
	c.MustPort("br0", "stat", lab.PortOptions{OFPort: 41, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:05"}})
	c.MustSetIDs("stat", status)
	for key, value := range map[string]string{"port-security-action": hostile, "port-security-flood": hostile, "port-security-unmarked": hostile, "vifguard-unguarded": hostile} {
		c.MustVsctl("set", "Bridge", "br0", "external_ids:"+key+"="+jsonString(t, value))
	}
	c.MustVsctl("set", "Open_vSwitch", ".", "external_ids:"+jsonString(t, "port-security-profile-"+hostileProfile)+"="+jsonString(t, "checks="+hostile))
	c.MustVsctl("set", "Bridge", "br0", "external_ids:port-security=auto")
	return c
}

func jsonString(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Nothing that others write into OVSDB reaches a terminal as anything but text, or begins
// a line, whatever the command.
func TestHostileBytes(t *testing.T) {
	c := newHostileConsole(t)
	s, err := (&options{endpoint: c.Endpoint()}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, row := s.Host().FindInterface(hostilePort); row == nil || row.VMID() != hostile {
		t.Fatalf("OVSDB doesn't hold it: %+v", row)
	}
	frame := hex.EncodeToString(lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:66")))
	commands := [][]string{
		{"status"}, {"status", "br0", "-o", "json"}, {"addresses"}, {"addresses", "-o", "json"}, {"verify", "--all"}, {"verify", "-o", "json"},
		{"advise", "br0"}, {"advise", "br0", "-o", "json"}, {"drops"}, {"drops", "-o", "json"}, {"enforce", "br0", "--dry-run"}, {"enforce", "br0"}, {"observe", "br0"},
		{"set", "tap1", "--profile", "nope"}, {"set", "tap1", "--profile", hostile}, {"set", hostile, "--mac", hostile}, {"trace", "tap1", hostile}, {hostile}, {"status", "--" + hostile},
		{"addresses", hostile}, {"guard", hostile}, {"guard", "br0", "--secure"}, {"__complete", "explain", ""}, {"__complete", "status", ""},
	}
	for _, b := range s.Host().Bridges {
		for _, row := range b.Interfaces {
			for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"explain"}, {"explain", "--flows"}, {"explain", "-o", "json"}, {"advise"}, {"drops"}, {"enforce"}, {"observe"}} {
				commands = append(commands, append(args[:1:1], append([]string{row.Name}, args[1:]...)...))
			}
			commands = append(commands, []string{"wait", row.Name, "--timeout", "1ms"}, []string{"wait", row.Name, "--timeout", "1ms", "-o", "json"},
				[]string{"trace", row.Name, frame}, []string{"trace", row.Name, frame, "-o", "json"}, []string{"set", row.Name, "--seq", hostile}, []string{"unset", row.Name, "--seq"})
		}
	}
	for _, args := range [][]string{{"status"}, {"verify"}, {"advise"}, {"enforce"}, {"observe"}, {"guard"}, {"guard", "--secure"}} {
		commands = append(commands, append(args, hostileBridge))
	}
	commands = append(commands, []string{"release", "br0"}, []string{"release", hostileBridge})
	c.harmless("before the agent", commands[:len(commands)-2])
	stop := c.agent()
	c.must("wait", "tap3", "--state", "enforced,observed")
	c.MustInject("tap3", lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:66")))
	c.MustPurge()
	c.MustWait("an event of tap3", func() (bool, error) {
		out, err := c.run("drops", "--control", c.control())
		return strings.Contains(out, "tap3"), err
	})
	c.harmless("beside the agent", commands)
	stop()
}

// harmless runs commands, and wants text of them.
func (c *console) harmless(when string, commands [][]string) {
	c.t.Helper()
	for _, args := range commands {
		if args[0] == "drops" || args[0] == "advise" {
			args = append(args, "--control", c.control())
		}
		var out bytes.Buffer
		root := newRoot(&out, &out)
		root.SetArgs(append([]string{"--ovsdb", c.Endpoint()}, args...))
		execute(c.t.Context(), root)
		for _, line := range strings.Split(out.String(), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "FORGED") {
				c.t.Errorf("%s: vifguard %q: a line of somebody else:\n%s", when, args, out.String())
				break
			}
			if i := strings.IndexFunc(line, func(r rune) bool { return r != '\t' && (r == utf8.RuneError || !unicode.IsPrint(r)) }); i >= 0 {
				c.t.Errorf("%s: vifguard %q: %q", when, args, line)
				break
			}
		}
	}
}
