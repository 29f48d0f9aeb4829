package model

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// summary is a policy in the notation of the tests: mode, checks, action, lifted
// guards, own MAC and declared bindings.
func summary(p Policy) string {
	mode := [...]string{"trusted", "off", "checked", "blocked"}[p.Mode]
	words := []string{mode}
	if p.Checks != CheckNone {
		words = append(words, p.Checks.String())
	}
	if p.Action == Observe {
		words = append(words, "observe")
	}
	if a := p.Allow.String(); a != "" {
		words = append(words, "allow="+a)
	}
	for _, b := range p.Bindings {
		if b.Origin == OriginLinkLocal {
			continue
		}
		text := FormatPrefix(b.Prefix)
		if b.MAC != p.MAC {
			text = b.String()
		}
		words = append(words, text)
	}
	return strings.Join(words, " ")
}

const ownMAC = "52:54:00:00:00:01"

// ids builds external_ids from alternating keys and values.
func ids(kv ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

func TestResolve(t *testing.T) {
	mac := func(kv ...string) map[string]string { return ids(append([]string{KeyAttachedMAC, ownMAC}, kv...)...) }
	tests := []struct {
		name     string
		ids      map[string]string
		bridge   string // the bridge's port-security
		unmarked string
		ifType   string
		want     string
		problems []string // substrings, one for each problem
	}{
		// What makes a VIF.
		{name: "unmarked port", ids: ids(), want: "trusted"},
		{name: "other keys make no VIF", ids: ids("iface-id", "x", "vm-id", "y"), want: "trusted"},
		{name: "unmarked, bridge blocks", ids: ids(), unmarked: "block", want: "blocked"},
		{name: "unmarked, a typo blocks", ids: ids(), unmarked: "Block", want: "blocked"},
		{name: "unmarked, an empty value blocks", ids: ids(), unmarked: " ", want: "blocked"},
		{name: "unmarked patch port, a typo blocks", ids: ids(), unmarked: "Block", ifType: "patch", want: "trusted"},
		{name: "unmarked uplink, bridge blocks", ids: ids(), unmarked: "block", ifType: "system", want: "blocked"},
		{name: "unmarked, bridge trusts", ids: ids(), unmarked: "trust", want: "trusted"},
		{name: "unmarked patch port, bridge blocks", ids: ids(), unmarked: "block", ifType: "patch", want: "trusted"},
		{name: "unmarked tunnel, bridge blocks", ids: ids(), unmarked: "block", ifType: "vxlan", want: "trusted"},
		{name: "unmarked internal port, bridge blocks", ids: ids(), unmarked: "block", ifType: "internal", want: "blocked"},
		{name: "marked off, bridge blocks", ids: ids(KeyChecks, "off"), unmarked: "block", want: "off"},
		{name: "seq alone makes a VIF, which lacks a MAC", ids: ids(KeySeq, "1"), want: "blocked", problems: []string{"attached-mac is missing"}},

		// port-security.
		{name: "auto without addresses", ids: mac(), want: "checked mac"},
		{name: "auto with an address", ids: mac(KeyAddresses, "192.0.2.1"), want: "checked mac,arp,ip 192.0.2.1"},
		{name: "auto with a pair", ids: mac(KeyPairs, "192.0.2.1"), want: "checked mac,arp,ip 192.0.2.1"},
		{name: "auto with only bad addresses", ids: mac(KeyAddresses, "192.0.2.300"), want: "checked mac,arp,ip", problems: []string{`allowed-addresses: "192.0.2.300" is not an IP address`}},
		{name: "auto with an empty list", ids: mac(KeyAddresses, ""), want: "checked mac,arp,ip"},
		{name: "auto with an empty list of pairs", ids: mac(KeyPairs, ""), want: "checked mac,arp,ip"},
		{name: "auto with an empty JSON list", ids: mac(KeyPairs, "[]"), want: "checked mac,arp,ip"},
		{name: "mac", ids: mac(KeyChecks, "mac", KeyAddresses, "192.0.2.1"), want: "checked mac 192.0.2.1"},
		{name: "mac,arp", ids: mac(KeyChecks, "mac,arp"), want: "checked mac,arp"},
		{name: "mac,arp,ip without addresses", ids: mac(KeyChecks, "mac,arp,ip"), want: "checked mac,arp,ip"},
		{name: "order and spaces don't matter", ids: mac(KeyChecks, " ip, arp mac"), want: "checked mac,arp,ip"},
		{name: "off", ids: mac(KeyChecks, "off"), want: "off"},
		{name: "off without a MAC", ids: ids(KeyChecks, "off"), want: "off"},
		{name: "block without a MAC", ids: ids(KeyChecks, "block"), want: "blocked"},
		{name: "block", ids: mac(KeyChecks, "block"), want: "blocked"},
		{name: "unusable value", ids: mac(KeyChecks, "mac,ip"), want: "checked mac,arp,ip", problems: []string{`port-security: "mac,ip" is not valid (want auto, mac, mac,arp, mac,arp,ip, off or block)`}},
		{name: "empty value", ids: mac(KeyChecks, ""), want: "checked mac,arp,ip", problems: []string{"port-security is not valid"}},
		{name: "the bridge's default", ids: mac(), bridge: "mac,arp", want: "checked mac,arp"},
		{name: "the bridge blocks", ids: mac(), bridge: "block", want: "blocked"},
		{name: "own key before the bridge's", ids: mac(KeyChecks, "off"), bridge: "block", want: "off"},

		// attached-mac.
		{name: "bad MAC blocks", ids: ids(KeyAttachedMAC, "52:54:00"), want: "blocked", problems: []string{`attached-mac: "52:54:00" is not a MAC address (want e.g. 52:54:00:12:34:56)`}},
		{name: "group MAC blocks", ids: ids(KeyAttachedMAC, "01:00:5e:00:00:01"), want: "blocked", problems: []string{"is a group address"}},
		{name: "zero MAC blocks", ids: ids(KeyAttachedMAC, "00:00:00:00:00:00"), want: "blocked", problems: []string{"is the zero address"}},
		{name: "64-bit MAC blocks", ids: ids(KeyAttachedMAC, "52:54:00:00:00:00:00:01"), want: "blocked", problems: []string{"is not a MAC address"}},
		{name: "bad MAC with checks off", ids: ids(KeyAttachedMAC, "x", KeyChecks, "off"), want: "off", problems: []string{"attached-mac"}},
		{name: "the other spelling", ids: ids(KeyAttachedMACAlt, ownMAC), want: "checked mac"},
		{name: "upper case and dashes", ids: ids(KeyAttachedMAC, "52-54-00-AA-BB-CC"), want: "checked mac"},
		{name: "both spellings agree", ids: ids(KeyAttachedMAC, ownMAC, KeyAttachedMACAlt, strings.ToUpper(ownMAC)), want: "checked mac"},
		{name: "both spellings differ", ids: ids(KeyAttachedMAC, ownMAC, KeyAttachedMACAlt, "52:54:00:00:00:02"), want: "checked mac", problems: []string{"differs from attached-mac"}},

		// Addresses and pairs.
		{name: "separators", ids: mac(KeyAddresses, " 192.0.2.1,192.0.2.2  2001:db8::1 ,\t198.51.100.0/24 "),
			want: "checked mac,arp,ip 192.0.2.1 192.0.2.2 198.51.100.0/24 2001:db8::1"},
		{name: "a bad entry leaves the others", ids: mac(KeyAddresses, "192.0.2.1,nonsense,192.0.2.3"), want: "checked mac,arp,ip 192.0.2.1 192.0.2.3", problems: []string{`"nonsense"`}},
		{name: "host bits", ids: mac(KeyAddresses, "192.0.2.1/24"), want: "checked mac,arp,ip", problems: []string{"has host bits beyond its prefix length (want 192.0.2.0/24 or 192.0.2.1)"}},
		{name: "prefix too long", ids: mac(KeyAddresses, "192.0.2.0/33"), want: "checked mac,arp,ip", problems: []string{"is not an IP prefix"}},
		{name: "zone", ids: mac(KeyAddresses, "fe80::1%eth0"), want: "checked mac,arp,ip", problems: []string{"is not an IP address"}},
		{name: "mapped", ids: mac(KeyAddresses, "::ffff:192.0.2.1"), want: "checked mac,arp,ip", problems: []string{"want 192.0.2.1"}},
		{name: "unspecified", ids: mac(KeyAddresses, "0.0.0.0 ::"), want: "checked mac,arp,ip", problems: []string{"can't be owned", "can't be owned"}},
		{name: "multicast", ids: mac(KeyAddresses, "224.0.0.1 ff02::1 255.255.255.255"), want: "checked mac,arp,ip", problems: []string{"multicast", "multicast", "can't be owned"}},
		{name: "duplicates", ids: mac(KeyAddresses, "192.0.2.1 192.0.2.1/32", KeyPairs, "192.0.2.1"), want: "checked mac,arp,ip 192.0.2.1"},
		{name: "pairs", ids: mac(KeyPairs, "192.0.2.1, 198.51.100.0/24@52:54:00:00:00:0A,2001:db8::/64"),
			want: "checked mac,arp,ip 192.0.2.1 2001:db8::/64 198.51.100.0/24@52:54:00:00:00:0a"},
		{name: "pair with a bad MAC grants nothing", ids: mac(KeyPairs, "192.0.2.1@nonsense,192.0.2.2"), want: "checked mac,arp,ip 192.0.2.2", problems: []string{"has a MAC that is not a MAC address"}},
		{name: "pair with an empty MAC", ids: mac(KeyPairs, "192.0.2.1@"), want: "checked mac,arp,ip", problems: []string{"has a MAC that"}},
		{name: "pair with a group MAC", ids: mac(KeyPairs, "192.0.2.1@01:00:5e:00:00:01"), want: "checked mac,arp,ip", problems: []string{"group address"}},
		{name: "prefix length 0", ids: mac(KeyPairs, "0.0.0.0/0,::/0"), want: "checked mac,arp,ip 0.0.0.0/0 ::/0"},
		{name: "pair with a blank inside", ids: mac(KeyPairs, "198.51.100.30 @00:00:5e:00:01:1e,192.0.2.2"), want: "checked mac,arp,ip 192.0.2.2",
			problems: []string{`allowed-address-pairs: "198.51.100.30 @00:00:5e:00:01:1e" has a blank inside (want entries separated by commas, e.g. `}},
		{name: "pairs separated by blanks", ids: mac(KeyPairs, "192.0.2.1 192.0.2.2"), want: "checked mac,arp,ip", problems: []string{`"192.0.2.1 192.0.2.2" has a blank inside`}},
		{name: "blanks around commas", ids: mac(KeyPairs, " 192.0.2.1 ,\t192.0.2.2,, "), want: "checked mac,arp,ip 192.0.2.1 192.0.2.2"},
		{name: "Neutron", ids: mac(KeyPairs, `[{"ip_address": "192.0.2.1"}, {"ip_address": "192.0.2.0/24", "mac_address": "52:54:00:00:00:0b", "active": true}, {"ip_address": "2001:db8::1", "mac_address": null}]`),
			want: "checked mac,arp,ip 192.0.2.1 2001:db8::1 192.0.2.0/24@52:54:00:00:00:0b"},
		{name: "Neutron with one bad entry", ids: mac(KeyPairs, `[{"ip_address": "192.0.2.1"}, {"mac_address": "52:54:00:00:00:0b"}, 5, {"ip_address": "x"}]`),
			want: "checked mac,arp,ip 192.0.2.1", problems: []string{"with an ip_address", "with an ip_address", "is not an IP address"}},
		{name: "broken JSON", ids: mac(KeyPairs, `[{"ip_address": "192.0.2.1"`), want: "checked mac,arp,ip", problems: []string{"is not a JSON list"}},

		// Whom the keys are for.
		{name: "for its own MAC", ids: mac(KeyFor, strings.ToUpper(ownMAC), KeyAddresses, "192.0.2.1"), want: "checked mac,arp,ip 192.0.2.1"},
		{name: "for another MAC", ids: mac(KeyFor, "52:54:00:00:00:99", KeyAddresses, "192.0.2.1", KeyChecks, "off", KeyAllow, "router", KeyProfile, "fw", KeyAction, "observe"),
			want: "checked mac", problems: []string{`port-security-for: "52:54:00:00:00:99" isn't the attached-mac (want ` + ownMAC + `)`}},
		{name: "for another MAC, the bridge's default", ids: mac(KeyFor, "52:54:00:00:00:99", KeyChecks, "off"), bridge: "mac,arp", want: "checked mac,arp", problems: []string{KeyFor}},
		{name: "for no MAC", ids: mac(KeyFor, "vm1", KeyChecks, "off"), want: "checked mac", problems: []string{`port-security-for: "vm1" is not a MAC address`}},
		{name: "for a MAC, without one", ids: ids(KeyFor, ownMAC, KeyChecks, "off"), want: "blocked", problems: []string{"attached-mac is missing", KeyFor}},
		{name: "for a MAC, with an unusable one", ids: ids(KeyFor, ownMAC, KeyAttachedMAC, "x", KeyChecks, "off"), want: "blocked", problems: []string{KeyFor, "attached-mac"}},
		{name: "for its own MAC in the other spelling", ids: ids(KeyFor, ownMAC, KeyAttachedMACAlt, ownMAC, KeyChecks, "off"), want: "off"},
		{name: "for another MAC in the other spelling", ids: ids(KeyFor, "52:54:00:00:00:99", KeyAttachedMACAlt, ownMAC, KeyChecks, "off"), want: "checked mac", problems: []string{"isn't the attached_mac"}},

		// Action, allow, profile.
		{name: "observe", ids: mac(KeyAction, "observe"), want: "checked mac observe"},
		{name: "bad action enforces", ids: mac(KeyAction, "look"), want: "checked mac", problems: []string{`port-security-action: "look" is not valid (want enforce or observe)`}},
		{name: "allow", ids: mac(KeyAllow, "router, dhcp-server priority-tag vlan-trunk ethertype:0x88cc ethertype:0x88CC"),
			want: "checked mac allow=dhcp-server,router,priority-tag,vlan-trunk,ethertype:0x88cc"},
		{name: "bad words in allow", ids: mac(KeyAllow, "router,everything,ethertype:lldp,ethertype:0x0800,ethertype:0x8100,ethertype:0x05ff"), want: "checked mac allow=router",
			problems: []string{`"everything" is not a guard`, "is not a guard", "judged by its own stage", "VLAN tag", "is not an ethertype"}},
		{name: "profile", ids: mac(KeyProfile, "fw"), want: "checked mac,arp observe allow=dhcp-server,router"},
		{name: "own keys before the profile's", ids: mac(KeyProfile, "fw", KeyChecks, "mac", KeyAction, "enforce", KeyAllow, ""), want: "checked mac"},
		{name: "profile before the bridge's default", ids: mac(KeyProfile, "fw"), bridge: "block", want: "checked mac,arp observe allow=dhcp-server,router"},
		{name: "unknown profile grants nothing", ids: mac(KeyProfile, "nope"), bridge: "mac,arp", want: "checked mac,arp", problems: []string{`port-profile: "nope" is unknown`}},
		{name: "broken profile", ids: mac(KeyProfile, "broken"), want: "checked mac,arp,ip", problems: []string{`port-security-profile-broken: "everything" is not valid`, `"foo=bar" is not part of a profile`}},
	}
	profiles := map[string]string{
		"fw":     "checks=mac,arp  action=observe allow=router,dhcp-server",
		"broken": "checks=everything foo=bar",
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := &Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")}
			if test.bridge != "" {
				b.ExternalIDs[KeyChecks] = test.bridge
			}
			if test.unmarked != "" {
				b.ExternalIDs[KeyUnmarked] = test.unmarked
			}
			config := ResolveBridge(b)
			p := Resolve(&config, profiles, &Interface{Name: "tap1", Type: test.ifType, ExternalIDs: test.ids})
			if diff := cmp.Diff(test.want, summary(p)); diff != "" {
				t.Errorf("policy (-want +got):\n%s", diff)
			}
			checkProblems(t, p.Problems, test.problems)
		})
	}
}

func checkProblems(t *testing.T, got Problems, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("problems: got %d (%v), want %d", len(got), got, len(want))
	}
	for i, p := range got {
		if !strings.Contains(p.Error(), want[i]) {
			t.Errorf("problem %q doesn't say %q", p.Error(), want[i])
		}
	}
}

// The bridge's own port stays trusted on a bridge that blocks unmarked ports.
func TestOwnPortIsTrusted(t *testing.T) {
	c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto", KeyUnmarked, "block")})
	if p := Resolve(&c, nil, &Interface{Name: "br0", Type: "internal"}); p.Mode != Trusted {
		t.Errorf("mode %d", p.Mode)
	}
}

func TestLinkLocalOfEveryMAC(t *testing.T) {
	c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")})
	p := Resolve(&c, nil, &Interface{ExternalIDs: ids(KeyAttachedMAC, ownMAC, KeyPairs, "192.0.2.9@00:00:5e:00:01:07")})
	var got []string
	for _, b := range p.Bindings {
		got = append(got, b.String()+" "+b.Origin)
	}
	want := []string{
		"192.0.2.9@00:00:5e:00:01:07 " + KeyPairs,
		"fe80::200:5eff:fe00:107@00:00:5e:00:01:07 " + OriginLinkLocal,
		"fe80::5054:ff:fe00:1@52:54:00:00:00:01 " + OriginLinkLocal,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := fmt.Sprint(p.MACs()); got != "[52:54:00:00:00:01 00:00:5e:00:01:07]" {
		t.Errorf("MACs: %s", got)
	}
}

func TestResolveBridge(t *testing.T) {
	tests := []struct {
		name      string
		ids       map[string]string
		protocols []string
		want      string
		problems  []string
	}{
		{name: "not opted in", ids: ids("a", "b"), want: "unguarded"},
		{name: "off", ids: ids(KeyChecks, "off", KeyFirstTable, "x"), want: "unguarded"},
		{name: "auto", ids: ids(KeyChecks, "auto"), want: "guarded 0 -1"},
		{name: "tables", ids: ids(KeyChecks, "mac", KeyFirstTable, "10", KeyExitTable, "5"), want: "guarded 10 5"},
		{name: "highest tables", ids: ids(KeyChecks, "mac", KeyFirstTable, "247", KeyExitTable, "0"), want: "guarded 247 0"},
		{name: "first table too high", ids: ids(KeyChecks, "mac", KeyFirstTable, "248"), want: "unusable", problems: []string{"from 0 to 247"}},
		{name: "first table is no number", ids: ids(KeyChecks, "mac", KeyFirstTable, "-1"), want: "unusable", problems: []string{KeyFirstTable}},
		{name: "exit table inside the stages", ids: ids(KeyChecks, "mac", KeyFirstTable, "10", KeyExitTable, "16"), want: "unusable", problems: []string{"outside the stages' tables 10 to 16"}},
		{name: "exit table is the first stage", ids: ids(KeyChecks, "mac", KeyFirstTable, "10", KeyExitTable, "10"), want: "unusable", problems: []string{"outside the stages' tables 10 to 16"}},
		{name: "exit table before the stages", ids: ids(KeyChecks, "mac", KeyFirstTable, "10", KeyExitTable, "9"), want: "guarded 10 9"},
		{name: "exit table behind the stages", ids: ids(KeyChecks, "mac", KeyFirstTable, "10", KeyExitTable, "17"), want: "guarded 10 17"},
		{name: "unusable default", ids: ids(KeyChecks, "yes"), want: "guarded 0 -1", problems: []string{"mac,arp,ip is used"}},
		{name: "unmarked typo", ids: ids(KeyChecks, "mac", KeyUnmarked, "blok"), want: "guarded 0 -1", problems: []string{"block is used"}},
		{name: "protocols with OpenFlow13", ids: ids(KeyChecks, "mac"), protocols: []string{"OpenFlow10", "OpenFlow13"}, want: "guarded 0 -1"},
		{name: "protocols without OpenFlow13", ids: ids(KeyChecks, "mac"), protocols: []string{"OpenFlow10"}, want: "unusable", problems: []string{"excludes OpenFlow13"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: test.ids, Protocols: test.protocols})
			got := "unguarded"
			if c.Guarded {
				got = fmt.Sprintf("guarded %d %d", c.FirstTable, c.ExitTable)
			}
			if !c.Usable {
				got = "unusable"
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			checkProblems(t, c.Problems, test.problems)
		})
	}
}

// One VIF's hostile metadata costs a bounded amount of report, and nothing else.
func TestHostileMetadata(t *testing.T) {
	c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")})
	many := strings.Repeat("192.0.2.1,", MaxEntries-1) + "192.0.2.2,192.0.2.3"
	for name, test := range map[string]struct {
		ids  map[string]string
		want string
	}{
		"too many":           {ids(KeyAttachedMAC, ownMAC, KeyAddresses, many), "checked mac,arp,ip 192.0.2.1 192.0.2.2"},
		"too many bad":       {ids(KeyAttachedMAC, ownMAC, KeyAddresses, strings.Repeat("x ", 50000)), "checked mac,arp,ip"},
		"too many guards":    {ids(KeyAttachedMAC, ownMAC, KeyAllow, strings.Repeat("router,", MaxEntries)+"dhcp-server"), "checked mac allow=router"},
		"huge word":          {ids(KeyAttachedMAC, ownMAC, KeyPairs, strings.Repeat("9", 10<<20)), "checked mac,arp,ip"},
		"control characters": {ids(KeyAttachedMAC, ownMAC, KeyAddresses, "192.0.2.1\x00,\x1b[31m"), "checked mac,arp,ip"},
		"look-alikes":        {ids(KeyAttachedMAC, ownMAC, KeyAddresses, "١٩٢.0.2.1"), "checked mac,arp,ip"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Resolve(&c, nil, &Interface{ExternalIDs: test.ids})
			if got := summary(p); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			text := p.Problems.String()
			if text == "" || len(text) > 2*maxShownErrors {
				t.Errorf("report of %d bytes: %.200s", len(text), text)
			}
			if strings.ContainsAny(text, "\x00\x1b\n") {
				t.Errorf("report holds control characters: %q", text)
			}
		})
	}
}

// Short prefixes widen the check of IP sources only, whichever key they are from.
func TestShortPrefixesClaimNothing(t *testing.T) {
	for prefix, want := range map[string]bool{
		"0.0.0.0/0": true, "128.0.0.0/1": true, "10.0.0.0/7": true, "10.0.0.0/8": false, "192.0.2.1": false,
		"::/0": true, "2000::/3": true, "2000::/15": true, "2001::/16": false, "fe80::/10": true, "2001:db8::1": false,
	} {
		for _, key := range []string{KeyAddresses, KeyPairs} {
			b := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")})
			p := Resolve(&b, nil, &Interface{Name: "tap1", ExternalIDs: ids(KeyAttachedMAC, ownMAC, key, prefix)})
			found := false
			for _, b := range p.Bindings {
				if b.Origin == key {
					found = true
					if b.IPOnly() != want {
						t.Errorf("%s in %s: for IP sources only: %v", prefix, key, b.IPOnly())
					}
				}
			}
			if !found || len(p.Problems) > 0 {
				t.Errorf("%s in %s grants nothing: %s", prefix, key, p.Problems.String())
			}
		}
	}
}
