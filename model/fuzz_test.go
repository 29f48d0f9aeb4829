package model

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// The fuzz targets read values that anybody who may write to OVSDB can write. All of
// them hold every report to its limits.

// checkReport holds for the report of every value.
func checkReport(t *testing.T, ps Problems) {
	t.Helper()
	text := ps.String()
	if len(text) > 2*maxShownErrors {
		t.Errorf("report of %d bytes", len(text))
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("report holds %q: %q", text[i:], text)
	}
	if (text == "") != (len(ps) == 0) {
		t.Errorf("%d problems, report %q", len(ps), text)
	}
}

// checkBindings holds for what every list of addresses grants, of which words is the
// number of entries.
func checkBindings(t *testing.T, bs []Binding, ps Problems, words int) {
	t.Helper()
	checkReport(t, ps)
	if len(bs) > MaxEntries {
		t.Errorf("%d bindings", len(bs))
	}
	if got := len(bs) + len(ps); words <= MaxEntries && got != words {
		t.Errorf("%d entries, but %d bindings and %d problems", words, len(bs), len(ps))
	}
	for _, b := range bs {
		a := b.Prefix.Addr()
		if !b.Prefix.IsValid() || b.Prefix != b.Prefix.Masked() || a.Zone() != "" || a.Is4In6() || a.IsMulticast() {
			t.Errorf("binding %v", b)
		}
		if b.MAC == (MAC{}) || b.MAC.IsGroup() {
			t.Errorf("MAC of the binding %v", b)
		}
		// What is granted can be written down and read again.
		again, err := parsePrefix(FormatPrefix(b.Prefix))
		if err != nil || again != b.Prefix {
			t.Errorf("%v read again: %v, %v", b.Prefix, again, err)
		}
	}
}

// fuzzMAC is a VIF's own.
var fuzzMAC = MAC{0x52, 0x54, 0, 0, 0, 1}

// addressSeeds are lists of addresses, good and bad.
var addressSeeds = []string{
	"", "192.0.2.1", "192.0.2.0/24, 2001:db8::/64 0.0.0.0/0\t::/0", "192.0.2.1/24", "::ffff:192.0.2.1", "fe80::1%eth0",
	"224.0.0.1,ff02::1,0.0.0.0,255.255.255.255", "1.2.3.4/33", "01.2.3.4", "１９２.0.2.1", "\x1b[31m\x00\xff", strings.Repeat("10.0.0.1,", MaxEntries+1),
}

func FuzzAddresses(f *testing.F) {
	for _, s := range addressSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var ps Problems
		checkBindings(t, withOwn(fuzzMAC, parseAddresses(KeyAddresses, value, &ps)), ps, len(splitWords(value)))
	})
}

func FuzzPairs(f *testing.F) {
	for _, s := range addressSeeds {
		f.Add(s)
	}
	for _, s := range []string{
		"192.0.2.9@00:00:5e:00:01:07", "192.0.2.9@", "@52:54:00:00:00:01", "192.0.2.9@ff:ff:ff:ff:ff:ff", "192.0.2.9@52:54:00:00:00:01@x", "2001:db8::/64@5254.0000.0002",
		`[]`, `[null]`, `[{"ip_address":"192.0.2.9","mac_address":"52:54:00:00:00:02"}]`, `[{"ip_address":"192.0.2.9","mac_address":null}]`,
		`[{"ip_address":1}]`, `[{"IP_ADDRESS":"192.0.2.9"}]`, ` [ {"ip_address":"192.0.2.9"}, {"mac_address":"x"} `, strings.Repeat("[", 1000), "[\"\\u0000\u202e\"]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var ps Problems
		bs := withOwn(fuzzMAC, parsePairs(KeyPairs, value, &ps))
		words := len(splitCommas(value))
		if strings.HasPrefix(strings.TrimSpace(value), "[") {
			words = len(bs) + len(ps) // JSON: one problem for the whole, or one for each entry
		}
		checkBindings(t, bs, ps, words)
	})
}

func FuzzChecks(f *testing.F) {
	for _, s := range []string{"auto", "mac", "mac,arp", "ip arp,mac", "mac,mac", "off", "block", "", "mac,ip", "MAC", "ｍａｃ", "off,mac"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var ps Problems
		checks := parseChecks(KeyChecks, value, &ps)
		checkReport(t, ps)
		if len(ps) > 0 && checks != CheckMACARPIP {
			t.Errorf("an unusable value means %d", checks)
		}
		if checks == CheckNone && strings.Trim(value, ", \t\r\n") != "off" && !strings.Contains(value, "off,") && !strings.Contains(value, "off ") {
			words := splitWords(value)
			if slices.ContainsFunc(words, func(w string) bool { return w != "off" }) {
				t.Errorf("%q turns all checks off", value)
			}
		}
	})
}

func FuzzAllow(f *testing.F) {
	for _, s := range []string{"", "router,dhcp-server", "priority-tag vlan-trunk", "ethertype:0x88cc,ethertype:0X88CC", "ethertype:0x0800", "ethertype:0x8100", "ethertype:0x05ff", "ethertype:0x10000", "ethertype:", "all", strings.Repeat("router ", MaxEntries+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var ps Problems
		a := parseAllow(KeyAllow, value, &ps)
		checkReport(t, ps)
		if len(a.EtherTypes) > MaxEntries {
			t.Errorf("%d ethertypes", len(a.EtherTypes))
		}
		for _, e := range a.EtherTypes {
			if e < MinEtherType || slices.Contains([]uint16{EtherTypeIPv4, EtherTypeARP, EtherTypeRARP, EtherTypeIPv6, EtherTypeVLAN, EtherTypeQinQ}, e) {
				t.Errorf("ethertype %#04x is lifted", e)
			}
		}
		// What is lifted can be written down and read again.
		if again := parseAllow(KeyAllow, a.String(), &ps); again.String() != a.String() {
			t.Errorf("%q read again: %q", a, again)
		}
	})
}

func FuzzProfile(f *testing.F) {
	for _, s := range []string{"", "checks=mac,arp action=observe allow=router,dhcp-server", "checks=everything", "foo=bar", "checks", "=", "checks=off checks=mac", "\x00=\x1b", strings.Repeat("x ", MaxEntries+1)} {
		f.Add("fw", s)
	}
	f.Add("\x1b[2J", "foo")
	f.Add(strings.Repeat("n", 5000), "foo")
	f.Fuzz(func(t *testing.T, name, text string) {
		var p Policy
		p.takeProfile(name, Profile{Known: true, Words: text})
		checkReport(t, p.Problems)
		off := p.Origins.Of(KeyChecks) != "" && p.Checks == CheckNone
		if p.Action == Observe && !strings.Contains(text, "observe") || off && !strings.Contains(text, "off") {
			t.Errorf("%q is read as checks %d, action %d", text, p.Checks, p.Action)
		}
	})
}

func FuzzMAC(f *testing.F) {
	for _, s := range []string{"", "52:54:00:12:34:56", "5254.0012.3456", "52-54-00-12-34-56", "00:00:00:00:00:00", "01:00:5e:00:00:01", "52:54:00:12:34:56:78:9a", "52:54:00:12:34", " 52:54:00:12:34:56"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, err := ParseMAC(value)
		if err != nil {
			return
		}
		if m == (MAC{}) || m.IsGroup() {
			t.Errorf("%q is read as %s", value, m)
		}
		if again, err := ParseMAC(m.String()); err != nil || again != m {
			t.Errorf("%s read again: %s, %v", m, again, err)
		}
		if l := m.LinkLocal(); !l.IsLinkLocalUnicast() || !netip.PrefixFrom(l, 128).IsValid() {
			t.Errorf("link-local address of %s: %s", m, l)
		}
	})
}

func FuzzResolveBridge(f *testing.F) {
	f.Add("auto", "block", "10", "200")
	f.Add("yes", "blok", "248", "-1")
	f.Add("off", "", "x", "16")
	f.Fuzz(func(t *testing.T, checks, unmarked, first, exit string) {
		c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, checks, KeyUnmarked, unmarked, KeyFirstTable, first, KeyExitTable, exit)})
		checkReport(t, c.Problems)
		last := int(c.FirstTable) + PipelineTables - 1
		if c.Guarded && c.Usable && (last > maxTable || c.ExitTable > maxTable || c.ExitTable >= int(c.FirstTable) && c.ExitTable <= last) {
			t.Errorf("stages from %d to %d, exit %d", c.FirstTable, last, c.ExitTable)
		}
	})
}

func FuzzResolve(f *testing.F) {
	f.Add("192.0.2.1/24,::/0", `[{"ip_address":"192.0.2.1"}]`, "mac,arp", "ethertype:0x88cc", "52:54:00:00:00:01")
	f.Add("192.0.2.1", "192.0.2.2@52:54:00:00:00:02", "auto", "router", "zz")
	c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")})
	f.Fuzz(func(t *testing.T, addresses, pairs, checks, allow, mac string) {
		p := Resolve(&c, nil, &Interface{ExternalIDs: ids(KeyAddresses, addresses, KeyPairs, pairs, KeyChecks, checks, KeyAllow, allow, KeyAttachedMAC, mac)})
		for _, b := range p.Bindings {
			if b.MAC == (MAC{}) || b.MAC.IsGroup() || b.Prefix != b.Prefix.Masked() {
				t.Errorf("binding %v", b)
			}
		}
		if p.Mode == Checked && p.MAC == (MAC{}) {
			t.Error("checked without a MAC")
		}
	})
}
