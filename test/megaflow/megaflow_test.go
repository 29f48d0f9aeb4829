// Package megaflow shows what a legitimate packet costs the datapath: which fields of
// it the policies make the switch look at. Every field here is a reason for one more
// entry in the megaflow cache, so each must be one that the policy needs.
package megaflow

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

// What every megaflow of a learning bridge has: the Ethernet addresses and the type,
// and for IP whether it is a fragment.
const (
	l2 = "eth(src=52:54:00:00:00:02,dst=52:54:00:00:00:09),"
	v4 = l2 + "eth_type(0x0800),ipv4("
	v6 = l2 + "eth_type(0x86dd),ipv6("
)

// The DHCP server guard looks at a few leading bits of UDP ports, which is enough to
// tell them from 67, 68, 546 and 547.
const udpBits = ",udp(src=1000/0xff00,dst=5000/0xf000)"

// The router guard looks at the type of ICMP messages, and of nothing else.
const icmpType = ",icmp(type=8)"

// golden is the real datapath's megaflow of each packet in each policy, without its
// input port.
var golden = map[string]map[string]string{
	"off": {
		"tcp4": v4 + "frag=no)", "udp4": v4 + "frag=no)", "ping4": v4 + "frag=no)",
		"tcp6": v6 + "frag=no)", "udp6": v6 + "frag=no)", "ping6": v6 + "frag=no)",
	},
	"mac": {
		"tcp4": v4 + "frag=no)", "udp4": v4 + "frag=no)", "ping4": v4 + "frag=no)",
		"tcp6": v6 + "proto=6,frag=no)", "udp6": v6 + "proto=17,frag=no)",
		"ping6": v6 + "proto=58,frag=no),icmpv6(type=128/0xfe)",
	},
	"mac,arp": {
		"tcp4": v4 + "proto=6,frag=no)", "udp4": v4 + "proto=17,frag=no)" + udpBits, "ping4": v4 + "proto=1,frag=no)" + icmpType,
		"tcp6": v6 + "proto=6,frag=no)", "udp6": v6 + "proto=17,frag=no)" + udpBits,
		"ping6": v6 + "proto=58,frag=no),icmpv6(type=128/0xfe)",
	},
	// The three bits of the destination tell it from 255.255.255.255, where a DHCP client
	// without an address sends.
	"mac,arp,ip": {
		"tcp4":  v4 + "src=192.0.2.2,dst=198.51.100.9/224.0.0.0,proto=6,frag=no)",
		"udp4":  v4 + "src=192.0.2.2,dst=198.51.100.9/224.0.0.0,proto=17,frag=no)" + udpBits,
		"ping4": v4 + "src=192.0.2.2,dst=198.51.100.9/224.0.0.0,proto=1,frag=no)" + icmpType,
		"tcp6":  v6 + "src=2001:db8::2,proto=6,frag=no)",
		"udp6":  v6 + "src=2001:db8::2,proto=17,frag=no)" + udpBits,
		"ping6": v6 + "src=2001:db8::2,proto=58,frag=no),icmpv6(type=128/0xfe)",
	},
	// An IPv4 prefix costs its own length, as Open vSwitch has a prefix trie for it.
	"mac,arp,ip with 203.0.0.0/16": {
		"tcp4 from the prefix": v4 + "src=203.0.113.2/255.255.0.0,dst=198.51.100.9/224.0.0.0,proto=6,frag=no)",
	},
}

// packets returns the legitimate packets.
func packets() map[string][]byte {
	me, other := lab.MustMAC("52:54:00:00:00:02"), lab.MustMAC("52:54:00:00:00:09")
	const syn = 2
	at := netip.MustParseAddrPort
	return map[string][]byte{
		"tcp4":                 lab.TCPFrame(other, me, at("192.0.2.2:1000"), at("198.51.100.9:80"), syn),
		"tcp4 from the prefix": lab.TCPFrame(other, me, at("203.0.113.2:1000"), at("198.51.100.9:80"), syn),
		"udp4":                 lab.UDPFrame(other, me, at("192.0.2.2:1000"), at("198.51.100.9:5000")),
		"ping4":                lab.PingFrame(other, me, netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("198.51.100.9")),
		"tcp6":                 lab.TCPFrame(other, me, at("[2001:db8::2]:1000"), at("[2001:db8:9::9]:80"), syn),
		"udp6":                 lab.UDPFrame(other, me, at("[2001:db8::2]:1000"), at("[2001:db8:9::9]:5000")),
		"ping6":                lab.PingFrame(other, me, netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:9::9")),
	}
}

func TestMegaflowsStayWide(t *testing.T) {
	sw := lab.New(t, lab.Options{})
	sw.MustBridge("br0")
	sw.MustPort("br0", "eth0", lab.PortOptions{OFPort: 1})
	ports := make(map[string]string)
	for i, policy := range slices.Sorted(maps.Keys(golden)) {
		port := "tap" + string(rune('a'+i))
		checks, prefix, ok := strings.Cut(policy, " with ")
		if !ok {
			prefix = "192.0.2.2 2001:db8::2"
		}
		ports[policy] = port
		sw.MustPort("br0", port, lab.PortOptions{OFPort: i + 2, ExternalIDs: map[string]string{
			"attached-mac": "52:54:00:00:00:02", "port-security": checks, "allowed-addresses": prefix}})
	}
	labagent.Guard(sw, "br0")
	labagent.Start(t, sw.Endpoint())
	for _, port := range ports {
		lab.Eventually(t, port+" to be programmed", func() error {
			err := labagent.Reports(sw.Switch, port, "state=enforced")
			if err != nil {
				err = labagent.Reports(sw.Switch, port, "state=off")
			}
			return err
		})
	}
	frames := packets()
	for policy, want := range golden {
		for name := range want {
			if diff := cmp.Diff(want[name], megaflow(t, sw, ports[policy], frames[name])); diff != "" {
				t.Errorf("%s under %s (-want +got):\n%s", name, policy, diff)
			}
		}
	}
}

// Samples cost refused packets no field: their megaflows are the same as without.
func TestSamplesKeepMegaflowsWide(t *testing.T) {
	foreign, me, other := lab.MustMAC("52:54:00:00:00:66"), lab.MustMAC("52:54:00:00:00:02"), lab.MustMAC("52:54:00:00:00:09")
	at := netip.MustParseAddrPort
	refused := map[string][]byte{
		"mac":         lab.UDPFrame(other, foreign, at("192.0.2.2:1000"), at("198.51.100.9:5000")),
		"vlan":        lab.Tagged(lab.UDPFrame(other, me, at("192.0.2.2:1000"), at("198.51.100.9:5000")), lab.VLAN{VID: 5}),
		"ethertype":   lab.Ether(other, me, 0x88cc, make([]byte, 46)),
		"arp":         lab.GratuitousARP(me, netip.MustParseAddr("192.0.2.9")),
		"nd":          lab.IPFrame(other, me, lab.NA(netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("ff02::1"), 0, netip.MustParseAddr("2001:db8::9"), lab.TargetLL(me))),
		"dhcp-server": lab.UDPFrame(other, me, at("192.0.2.2:67"), at("198.51.100.9:68")),
		"ip":          lab.UDPFrame(other, me, at("192.0.2.3:1000"), at("198.51.100.9:5000")),
	}
	flows := map[int]map[string]string{}
	for _, rate := range []int{0, 10} {
		sw := lab.New(t, lab.Options{})
		sw.MustBridge("br0")
		sw.MustPort("br0", "tap1", lab.PortOptions{OFPort: 1, ExternalIDs: map[string]string{
			"attached-mac": "52:54:00:00:00:02", "allowed-addresses": "192.0.2.2 2001:db8::2"}})
		labagent.Guard(sw, "br0")
		labagent.StartSampling(t, sw.Endpoint(), rate)
		labagent.Await(t, sw, "tap1", "state=enforced")
		flows[rate] = map[string]string{}
		for reason, frame := range refused {
			flows[rate][reason] = megaflow(t, sw, "tap1", frame)
			sampled := strings.Contains(sw.MustAppctl("dpctl/dump-flows"), "actions:sample(sample=100.0%,actions(meter(")
			if sampled != (rate > 0) {
				t.Errorf("%s with a rate of %d: sampled %v", reason, rate, sampled)
			}
		}
	}
	if diff := cmp.Diff(flows[0], flows[10]); diff != "" {
		t.Errorf("megaflows (-without +with samples):\n%s", diff)
	}
}

// A flood from ever new addresses makes the switch keep one state for its samples, and
// not one for each.
func TestSamplesShareTheirState(t *testing.T) {
	sw := lab.New(t, lab.Options{})
	sw.MustBridge("br0")
	sw.MustPort("br0", "tap1", lab.PortOptions{OFPort: 1, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:02"}})
	labagent.Guard(sw, "br0")
	labagent.Start(t, sw.Endpoint())
	labagent.Await(t, sw, "tap1", "state=enforced")
	const sources = 50
	for i := range sources {
		sw.MustInject("tap1", lab.RARPAnnounce(lab.MAC{2, 0, 0, 0, 0, byte(i)}))
	}
	sw.MustBarrier()
	states := map[string]bool{}
	all := regexp.MustCompile(`recirc_id=(\d+),rule_cookie`).FindAllStringSubmatch(sw.MustAppctl("dpctl/dump-flows"), -1)
	for _, m := range all {
		states[m[1]] = true
	}
	if len(all) != sources || len(states) != 1 {
		t.Errorf("%d megaflows with %d states, want %d with 1", len(all), len(states), sources)
	}
}

var megaflowText = regexp.MustCompile(`recirc_id\(0\),.*packet_type\(ns=0,id=0\),(.*), packets:`)

// megaflow sends one frame and returns the only megaflow that it makes at first; when
// neighbour discovery is refused, a second one follows.
func megaflow(t *testing.T, sw *lab.T, port string, frame []byte) string {
	t.Helper()
	sw.MustPurge()
	sw.MustInject(port, frame)
	sw.MustBarrier()
	found := megaflowText.FindAllStringSubmatch(sw.MustAppctl("dpctl/dump-flows"), -1)
	if len(found) != 1 {
		t.Fatalf("%d megaflows, want 1", len(found))
	}
	return found[0][1]
}
