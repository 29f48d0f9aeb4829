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
	"github.com/vifguard/vifguard/test/lab/agent"
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
		"tcp4": v4 + "proto=6,frag=no)", "udp4": v4 + "proto=17,frag=no)" + udpBits, "ping4": v4 + "proto=1,frag=no)",
		"tcp6": v6 + "proto=6,frag=no)", "udp6": v6 + "proto=17,frag=no)" + udpBits,
		"ping6": v6 + "proto=58,frag=no),icmpv6(type=128/0xfe)",
	},
	// The three bits of the destination tell it from 255.255.255.255, where a DHCP client
	// without an address sends.
	"mac,arp,ip": {
		"tcp4":  v4 + "src=192.0.2.2,dst=198.51.100.9/224.0.0.0,proto=6,frag=no)",
		"udp4":  v4 + "src=192.0.2.2,dst=198.51.100.9/224.0.0.0,proto=17,frag=no)" + udpBits,
		"ping4": v4 + "src=192.0.2.2,dst=198.51.100.9/224.0.0.0,proto=1,frag=no)",
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
	sw.MustVsctl("set", "Bridge", "br0", "external_ids:port-security=auto")
	agent.Start(t, sw.Endpoint())
	for _, port := range ports {
		sw.MustWait(port+" to be programmed", func() (bool, error) {
			state := sw.MustIDs(port)["vifguard-state"]
			return state == "enforced" || state == "off", nil
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

var megaflowText = regexp.MustCompile(`packet_type\(ns=0,id=0\),(eth\(.*\)), packets:`)

// megaflow sends one frame and returns the only megaflow that it makes.
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
