package frame

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/test/lab"
)

func TestClaim(t *testing.T) {
	tagged := lab.Tagged(lab.ARPRequest(macA, ip4A, ip4B), lab.VLAN{VID: 7})
	for _, test := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"ARP request", lab.ARPRequest(macA, ip4A, ip4B),
			`{"eth_src":"02:00:00:00:00:0a","ethertype":"0x0806","kind":"ARP request","sha":"02:00:00:00:00:0a","spa":"192.0.2.1"}`},
		{"tagged", tagged,
			`{"eth_src":"02:00:00:00:00:0a","vlans":"7","ethertype":"0x0806","kind":"ARP request","sha":"02:00:00:00:00:0a","spa":"192.0.2.1"}`},
		{"ARP probe", arpOf(lab.ARP{SPA: netip.IPv4Unspecified(), TPA: ip4B}),
			`{"eth_src":"02:00:00:00:00:0a","ethertype":"0x0806","kind":"ARP probe","sha":"02:00:00:00:00:0a","spa":"0.0.0.0","target":"192.0.2.9"}`},
		{"NA", fromA(lab.NA(ip6A, ip6B, 0, ip6A, lab.TargetLL(macA))),
			`{"eth_src":"02:00:00:00:00:0a","ethertype":"0x86dd","kind":"NA","target":"2001:db8::a","option":"02:00:00:00:00:0a","source":"2001:db8::a"}`},
		{"UDP", lab.UDPFrame(macB, macA, portA4, portB4),
			`{"eth_src":"02:00:00:00:00:0a","ethertype":"0x0800","kind":"IPv4","source":"192.0.2.1"}`},
		{"nothing", nil, `{"eth_src":"00:00:00:00:00:00","ethertype":"0x0000"}`},
	} {
		f := Parse(test.frame)
		claim := f.Claim()
		got, err := json.Marshal(claim)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		var again Claim
		if err := json.Unmarshal(got, &again); err != nil || again != claim {
			t.Errorf("%s: %s read as %+v, %v", test.name, got, again, err)
		}
	}
}

// Frames that differ only in whom they are for have one claim.
func TestClaimIsAboutTheSender(t *testing.T) {
	one, other := Parse(lab.ARPRequest(macA, ip4A, ip4B)), Parse(lab.ARPRequest(macA, ip4A, netip.MustParseAddr("192.0.2.77")))
	if one.Claim() != other.Claim() {
		t.Errorf("%+v and %+v", one.Claim(), other.Claim())
	}
	if third := Parse(lab.ARPRequest(macB, ip4A, ip4B)); one.Claim() == third.Claim() {
		t.Error("another sender has the same claim")
	}
}
