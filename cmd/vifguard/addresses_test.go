package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/test/lab"
)

// failover makes a bridge on which web1 and web2 share an address, each with a MAC that
// ends in its number, and stops the agent and Open vSwitch's clock.
func failover(t *testing.T) *console {
	c := newConsole(t)
	for i, name := range []string{"web1", "web2", "fw"} {
		c.MustPort("br0", name, lab.PortOptions{OFPort: 11 + i, ExternalIDs: map[string]string{
			"attached-mac": "52:54:00:00:00:1" + string('1'+rune(i)), "vm-id": "vm-" + name}})
	}
	c.must("guard", "br0")
	c.must("set", "web1", "--address", "192.0.2.11", "--pair", "192.0.2.100,2001:db8::100,192.0.2.200@00:00:5e:00:01:07")
	c.must("set", "web2", "--address", "192.0.2.12,2001:db8::12", "--pair", "192.0.2.100,2001:db8::100")
	c.must("set", "fw", "--checks", "mac,arp", "--address", "192.0.2.13")
	stop := c.agent()
	for _, port := range []string{"web1", "web2", "fw"} {
		c.must("wait", port)
	}
	stop()
	c.MustAppctl("time/stop")
	return c
}

// elapse moves Open vSwitch's clock, after it has collected its counters.
func (c *console) elapse(ms string) {
	c.t.Helper()
	c.MustBarrier()
	c.MustPurge()
	c.MustAppctl("time/warp", ms)
}

func TestWhoHoldsTheFailoverIP(t *testing.T) {
	c := failover(t)
	shared := netip.MustParseAddr("192.0.2.100")
	mac1, mac2 := lab.MustMAC("52:54:00:00:00:11"), lab.MustMAC("52:54:00:00:00:12")
	last := func(address string) (ports []string) {
		t.Helper()
		var r report.Addresses
		if err := json.Unmarshal([]byte(c.must("addresses", address, "-o", "json")), &r); err != nil {
			t.Fatal(err)
		}
		for _, a := range r.Addresses {
			for _, v := range a.VIFs {
				if v.Last {
					ports = append(ports, v.Port)
				}
			}
		}
		return ports
	}
	if got := last("192.0.2.100"); got != nil {
		t.Errorf("nobody has used it, yet %v did", got)
	}
	c.MustInject("web1", lab.GratuitousARP(mac1, shared))
	c.elapse("600000")
	if got := last("192.0.2.100"); !cmp.Equal(got, []string{"web1"}) {
		t.Errorf("after web1's announcement: %v", got)
	}
	c.MustInject("web2", lab.GratuitousARP(mac2, shared))
	c.elapse("30000")
	c.MustInject("web2", lab.UDPFrame(mac1, mac2, netip.AddrPortFrom(shared, 1000), netip.MustParseAddrPort("192.0.2.9:2000"), []byte("x")))
	// What web1 has no right to isn't a use.
	c.MustInject("web1", lab.GratuitousARP(mac1, netip.MustParseAddr("192.0.2.12")))
	c.elapse("10000")
	if got := last("192.0.2.100"); !cmp.Equal(got, []string{"web2"}) {
		t.Errorf("after web2's announcement: %v", got)
	}
	if got := last("192.0.2.12"); got != nil {
		t.Errorf("an ARP that was dropped counts as a use by %v", got)
	}
	out := c.must("addresses", "192.0.2.100")
	for _, want := range []string{"192.0.2.100\n  web2 (last)  br0", "vm-web2  52:54:00:00:00:12  pair  40s ago", " 10s ago\n  web1 ", "10m ago"} {
		if !strings.Contains(out, want) {
			t.Errorf("addresses doesn't say %q:\n%s", want, out)
		}
	}
	if out := c.must("addresses"); !strings.Contains(out, "192.0.2.13\n  fw           br0     vm-fw    52:54:00:00:00:13  own   not in 10m  -\n") {
		t.Errorf("sources of a firewall aren't counted:\n%s", out)
	}
	c.fails(exit.No, "no VIF of a guarded bridge may use 203.0.113.1", "addresses", "203.0.113.1")
	c.fails(exit.Usage, `"web1" is not an address or prefix`, "addresses", "web1")
}

// Every kind of announcement and use counts for its binding, VRRP and IPv6 included.
func TestWhatCountsAsAnnouncedAndUsed(t *testing.T) {
	c := failover(t)
	own, virtual := lab.MustMAC("52:54:00:00:00:11"), lab.MustMAC("00:00:5e:00:01:07")
	shared := netip.MustParseAddr("2001:db8::100")
	na := lab.NA(shared, lab.AllNodes, lab.FlagOverride, shared, lab.TargetLL(own))
	for name, test := range map[string]struct {
		address         string
		frame           []byte
		announced, used uint64
	}{
		"gratuitous ARP from the virtual MAC": {"192.0.2.200", lab.GratuitousARP(virtual, netip.MustParseAddr("192.0.2.200")), 1, 0},
		"ARP request":                         {"192.0.2.11", lab.ARPRequest(own, netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.9")), 1, 0},
		"ARP probe":                           {"192.0.2.11", lab.ARPProbe(own, netip.MustParseAddr("192.0.2.11")), 0, 0},
		"unsolicited NA":                      {"2001:db8::100", lab.IPFrame(lab.GroupMAC(lab.AllNodes), own, na), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			read := func() (announced, used uint64) {
				var r report.Addresses
				if err := json.Unmarshal([]byte(c.must("addresses", test.address, "-o", "json")), &r); err != nil {
					t.Fatal(err)
				}
				for _, v := range r.Addresses[0].VIFs {
					if v.Port == "web1" {
						announced, used = v.Announced.Packets, v.Used.Packets
					}
				}
				return announced, used
			}
			announced, used := read()
			c.MustInject("web1", test.frame)
			c.elapse("5000")
			if a, u := read(); a-announced != test.announced || u-used != test.used {
				t.Errorf("announced %d, used %d; want %d, %d", a-announced, u-used, test.announced, test.used)
			}
		})
	}
}

func TestTimesAreUnknownWithoutOpenFlow15(t *testing.T) {
	c := failover(t)
	c.MustInject("web1", lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:11"), netip.MustParseAddr("192.0.2.100")))
	c.elapse("5000")
	c.MustVsctl("set", "Bridge", "br0", "protocols=OpenFlow13")
	out := c.must("addresses", "192.0.2.100")
	for _, want := range []string{
		"times are unknown: bridge br0: its protocols exclude OpenFlow15", "ovs-vsctl add bridge br0 protocols OpenFlow15",
		"pair  unknown    not yet",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("addresses doesn't say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "(last)") {
		t.Errorf("somebody is last without times:\n%s", out)
	}
}

func TestConflicts(t *testing.T) {
	c := failover(t)
	if out := c.must("addresses"); strings.Contains(out, "conflict") {
		t.Errorf("pairs are no conflict:\n%s", out)
	}
	c.must("set", "web2", "--address", "192.0.2.11,198.51.100.0/24")
	c.must("set", "web1", "--pair", "198.51.100.7,0.0.0.0/0,192.0.2.100")
	c.MustBridge("br1")
	c.MustPort("br1", "other", lab.PortOptions{ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:21", "allowed-addresses": "192.0.2.11"}})
	c.must("guard", "br1")
	var r report.Addresses
	out := c.must("addresses", "-o", "json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	want := []report.AddressConflict{
		{Bridge: "br0", Kind: "duplicate", Addresses: []string{"192.0.2.11"}, Ports: []string{"web1", "web2"}},
		{Bridge: "br0", Kind: "overlap", Addresses: []string{"198.51.100.0/24", "198.51.100.7"}, Ports: []string{"web2", "web1"}},
	}
	if diff := cmp.Diff(want, r.Conflicts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	text := c.must("addresses")
	for _, want := range []string{
		"conflict on bridge br0: 192.0.2.11 is declared by web1 and web2 as their own",
		"198.51.100.0/24 of web2 and 198.51.100.7 of web1 overlap", "pair (source only)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("addresses doesn't say %q:\n%s", want, text)
		}
	}
}
