package model

import (
	"slices"
	"strings"
	"testing"
)

// Cookies of flows that are installed carry the numbers, and scripts know the names:
// neither ever changes.
func TestReasonsKeepTheirNumbersAndNames(t *testing.T) {
	const names = ",mac,vlan,ethertype,arp,nd,dhcp-server,router,ip,blocked,unknown-port,flood,malformed"
	for number, name := range strings.Split(names, ",") {
		if r := Reason(number); r.String() != name || ParseReason(name) != r {
			t.Errorf("reason %d is %q, and %q is reason %d", number, r, name, ParseReason(name))
		}
	}
	if n := len(strings.Split(names, ",")) - 1; len(Reasons()) != n {
		t.Errorf("%d reasons, and %d in this test", len(Reasons()), n)
	}
	for _, r := range Reasons() {
		if r.Meaning() == "" || r.Whose() == "" {
			t.Errorf("%s isn't explained", r)
		}
	}
	if unknown := Reason(200); unknown.String() != "reason-200" || unknown.PerVIF() || unknown.Meaning() != "" || ParseReason("reason-200") != NoReason {
		t.Errorf("a number that no reason has: %q", unknown)
	}
}

// Which reasons a VIF's packets can have follows from its policy.
func TestReasonsOfPolicies(t *testing.T) {
	bridge := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")})
	for _, test := range []struct {
		ids  map[string]string
		want string
	}{
		{ids(), ""},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "off", KeyFlood, "9"), ""},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "block", KeyFlood, "9"), "blocked"},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "mac"), "vlan mac"},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "mac", KeyFlood, "9"), "vlan mac flood"},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "mac", KeyFlood, "9", KeyAction, "observe"), "vlan mac"},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "mac,arp"), "vlan mac ethertype malformed arp nd dhcp-server router"},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "mac,arp,ip"), "vlan mac ethertype malformed arp nd dhcp-server router ip"},
		{ids(KeyAttachedMAC, ownMAC, KeyChecks, "mac,arp,ip", KeyAllow, "router,dhcp-server"), "vlan mac ethertype malformed arp nd ip"},
	} {
		p := Resolve(&bridge, nil, &Interface{Name: "tap1", ExternalIDs: test.ids})
		var names []string
		for _, r := range p.Reasons() {
			names = append(names, r.String())
			if !r.PerVIF() || !slices.Contains(Reasons(), r) {
				t.Errorf("%s isn't counted per VIF", r)
			}
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%v: %q, want %q", test.ids, got, test.want)
		}
	}
}
