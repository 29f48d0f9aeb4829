package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/controller/unixctl"
	"github.com/vifguard/vifguard/test/lab"
)

// A trace says what the switch really does: what lets a frame pass that vifguard's flows
// don't let on is named, and nothing is once it has gone.
func TestTraceAroundTheChecks(t *testing.T) {
	const remote = "192.0.2.77"
	own := lab.MustMAC("52:54:00:00:00:01")
	asRemote := lab.ARPRequest(own, netip.MustParseAddr(remote), netip.MustParseAddr("192.0.2.9"))
	spoofed := lab.ARPRequest(own, netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.9"))
	for name, test := range map[string]struct {
		open, close []string // of ovs-vsctl, or of ovs-ofctl
		frame       []byte
		ofctl       bool
		why, owner  string
	}{
		"a hidden flow": {
			open:  []string{"set-manager", "tcp:" + remote + ":6640"},
			close: []string{"set", "Bridge", "br0", "other_config:disable-in-band=true"},
			frame: asRemote, why: "a hidden flow of Open vSwitch's own, table=0,priority=18000", owner: "hidden",
		},
		"a flow of somebody else": {
			open:  []string{"add-flow", "br0", "table=0,priority=50000,in_port=2,actions=NORMAL"},
			close: []string{"--strict", "del-flows", "br0", "table=0,priority=50000,in_port=2"},
			frame: spoofed, ofctl: true, why: "a flow of somebody else, table=0,priority=50000,in_port=2", owner: "other",
		},
		"one that also leads on to the checks": {
			open:  []string{"-OOpenFlow13", "add-flow", "br0", "table=0,priority=50000,in_port=2,actions=output:1,goto_table:1"},
			close: []string{"-OOpenFlow13", "--strict", "del-flows", "br0", "table=0,priority=50000,in_port=2"},
			frame: spoofed, ofctl: true, why: "a flow of somebody else, table=0,priority=50000,in_port=2", owner: "other",
		},
		"one that asks a controller": {
			open:  []string{"add-flow", "br0", "table=0,priority=50000,in_port=2,actions=CONTROLLER"},
			close: []string{"--strict", "del-flows", "br0", "table=0,priority=50000,in_port=2"},
			frame: spoofed, ofctl: true, why: "a flow of somebody else, table=0,priority=50000,in_port=2", owner: "other",
		},
		"a protocol that Open vSwitch speaks": {
			open:  []string{"set", "Port", "tap1", "other_config:stp-enable=true", "--", "set", "Bridge", "br0", "stp_enable=true"},
			close: []string{"set", "Port", "tap1", "other_config:stp-enable=false"},
			frame: lab.STP(own), why: "Open vSwitch takes it before any table: it consists of STP packets",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConsole(t)
			c.must("guard", "br0")
			c.MustVsctl("remove", "Bridge", "br0", "other_config", "disable-in-band")
			c.must("set", "tap1", "--address", "192.0.2.1")
			stop := c.agent()
			defer stop()
			c.must("wait", "tap1")
			do := func(args []string) {
				if test.ofctl {
					c.MustOfctl(args...)
				} else {
					c.MustVsctl(args...)
				}
			}
			traced := func() report.Trace {
				var results []report.Trace
				if err := json.Unmarshal([]byte(c.must("trace", "-o", "json", "tap1", hex.EncodeToString(test.frame))), &results); err != nil {
					t.Fatal(err)
				}
				return results[0]
			}
			verdict := func(want string) {
				t.Helper()
				c.MustWait("verdict "+want, func() (bool, error) { return traced().Verdict == want, nil })
			}
			verdict("drop")
			do(test.open)
			verdict("around")
			got := traced()
			if !strings.HasPrefix(got.Why, test.why) {
				t.Errorf("why: %q, want %q", got.Why, test.why)
			}
			if test.owner != "" && (len(got.Steps) == 0 || got.Steps[0].Owner != test.owner) {
				t.Errorf("steps: %+v, want the first to be of %s", got.Steps, test.owner)
			}
			if out := c.must("trace", "tap1", hex.EncodeToString(test.frame)); !strings.Contains(out, "passes around the checks: "+test.why) || strings.Contains(out, "dropped") {
				t.Errorf("in words:\n%s", out)
			}
			do(test.close)
			verdict("drop")
		})
	}
}

// longFrame is an IPv4 packet with so much behind it that the frame has that length.
func longFrame(length int) []byte {
	frame := lab.PingFrame(lab.Broadcast, lab.MustMAC("52:54:00:00:00:01"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9"))
	return append(frame, make([]byte, length-len(frame))...)
}

// The switch is given no frame that it can't take: longer ones end it.
func TestTraceRefusesFrames(t *testing.T) {
	t.Run("what it would do", func(t *testing.T) {
		c := newConsole(t)
		ctl, err := unixctl.Find(c.Dir, "ovs-vswitchd")
		if err != nil {
			t.Fatal(err)
		}
		defer ctl.Close()
		if out, err := ctl.Call(t.Context(), "ofproto/trace", "br0", "in_port=2", hex.EncodeToString(longFrame(66000))); err == nil {
			lab.Unmet(t, fmt.Sprintf("an ovs-vswitchd that can't trace 66,000 bytes, as 3.1 can't: %.60s", out))
		}
	})
	c := newConsole(t)
	c.must("guard", "br0")
	stop := c.agent()
	defer stop()
	c.must("wait", "tap1")
	for length, want := range map[int]string{
		65536: "FRAME 2: a frame of 65536 bytes is longer than ovs-vswitchd can take (want 14 to 65535 bytes)",
		66000: "FRAME 2: a frame of 66000 bytes is longer",
		13:    "FRAME 2: a frame of 13 bytes is shorter than an Ethernet header",
		0:     "FRAME 2: a frame of 0 bytes is shorter",
	} {
		pcap := filepath.Join(t.TempDir(), fmt.Sprint(length))
		writePcap(t, pcap, longFrame(100), longFrame(max(length, 100))[:length])
		if out, err := c.run("trace", "tap1", pcap); exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%d bytes: %v, want %q\n%s", length, err, want, out)
		}
	}
	if out, err := c.run("trace", "tap1", hex.EncodeToString(longFrame(66000))); exit.Code(err) != exit.Usage {
		t.Errorf("in hexadecimal: %v\n%s", err, out)
	}
	pcap := filepath.Join(t.TempDir(), "longest")
	writePcap(t, pcap, longFrame(65535))
	if out := c.must("trace", "tap1", pcap); !strings.Contains(out, "passes: ") {
		t.Errorf("the longest frame:\n%s", out)
	}
}
