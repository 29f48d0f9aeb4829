package model

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// MaxEntries is the number of entries of one key that are read, whether it lists
// addresses, pairs, guards or the words of a profile. It bounds what one VIF's metadata
// can cost; entries beyond it grant nothing and are reported.
const MaxEntries = 1024

// Binding says that a MAC address may speak for a prefix. A prefix so short that it
// stands for any address widens the check of IP sources only, never ARP or neighbour
// discovery.
type Binding struct {
	MAC    MAC
	Prefix netip.Prefix // masked; host addresses are /32 and /128
	Origin string       // where it came from: a key, or OriginLinkLocal
}

// OriginLinkLocal is the origin of the bindings that every MAC has by itself.
const OriginLinkLocal = "link-local (EUI-64)"

// The shortest prefixes that a VIF can own and answer ARP or neighbour discovery for.
// Nobody is assigned a shorter one, and two of length 1 would be everything.
const (
	minClaim4 = 8
	minClaim6 = 16
)

// IPOnly reports whether the binding widens only the check of IP sources.
func (b Binding) IPOnly() bool {
	if b.Prefix.Addr().Is4() {
		return b.Prefix.Bits() < minClaim4
	}
	return b.Prefix.Bits() < minClaim6
}

// String returns ADDRESS, ADDRESS/LENGTH or one of them with @MAC.
func (b Binding) String() string { return FormatPrefix(b.Prefix) + "@" + b.MAC.String() }

// FormatPrefix writes a host prefix as its address and any other with its length.
func FormatPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func compareBindings(a, b Binding) int {
	return cmp.Or(
		a.MAC.Compare(b.MAC),
		a.Prefix.Addr().Compare(b.Prefix.Addr()),
		cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
	)
}

// sortBindings sorts bindings and drops all but the first of equal ones.
func sortBindings(bs []Binding) []Binding {
	slices.SortStableFunc(bs, compareBindings)
	return slices.CompactFunc(bs, func(a, b Binding) bool { return compareBindings(a, b) == 0 })
}

const prefixValid = "(want e.g. 192.0.2.10, 192.0.2.0/24 or 2001:db8::/64)"

// parsePrefix parses an address or a CIDR prefix that a VIF may own.
func parsePrefix(s string) (netip.Prefix, error) {
	var p netip.Prefix
	if strings.Contains(s, "/") {
		var err error
		if p, err = netip.ParsePrefix(s); err != nil {
			return p, fmt.Errorf("is not an IP prefix %s", prefixValid)
		}
	} else {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, fmt.Errorf("is not an IP address %s", prefixValid)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	a := p.Addr()
	switch {
	case a.Is4In6():
		return p, fmt.Errorf("is an IPv4-mapped IPv6 address, which never appears on the wire (want %s)", a.Unmap())
	case p != p.Masked():
		return p, fmt.Errorf("has host bits beyond its prefix length (want %s or %s)", p.Masked(), a)
	case a.IsMulticast():
		return p, fmt.Errorf("is multicast, which can't be a source %s", prefixValid)
	case p.IsSingleIP() && (a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})):
		return p, fmt.Errorf("can't be owned by a VIF %s", prefixValid)
	}
	return p, nil
}

// parseAddresses parses a value of allowed-addresses. The zero address stands for the
// VIF's own MAC.
func parseAddresses(key, value string, ps *Problems) []Binding {
	var bs []Binding
	for _, w := range limit(key, splitWords(value), ps) {
		p, err := parsePrefix(w)
		if err != nil {
			ps.add(key, w, "%v", err)
			continue
		}
		bs = append(bs, Binding{Prefix: p, Origin: KeyAddresses})
	}
	return bs
}

// parsePairs parses a value of allowed-address-pairs, in either of its forms. The zero
// address stands for the VIF's own MAC.
func parsePairs(key, value string, ps *Problems) []Binding {
	if strings.HasPrefix(strings.TrimSpace(value), "[") {
		return parseNeutronPairs(key, value, ps)
	}
	var bs []Binding
	for _, w := range limit(key, splitCommas(value), ps) {
		if strings.ContainsFunc(w, unicode.IsSpace) {
			ps.add(key, w, "has a blank inside (want entries separated by commas, e.g. 192.0.2.10,192.0.2.11@52:54:00:12:34:56)")
			continue
		}
		ip, mac, hasMAC := strings.Cut(w, "@")
		b, err := newPair(ip, mac, hasMAC)
		if err != nil {
			ps.add(key, w, "%v", err)
			continue
		}
		bs = append(bs, b)
	}
	return bs
}

// splitCommas splits a list at commas alone, and drops empty entries and white space
// around them.
func splitCommas(s string) []string {
	var list []string
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list
}

// parseNeutronPairs parses the JSON list that Neutron's API uses for
// allowed_address_pairs. Members other than the two addresses are ignored.
func parseNeutronPairs(key, value string, ps *Problems) []Binding {
	const valid = `(want e.g. [{"ip_address": "192.0.2.10", "mac_address": "52:54:00:12:34:56"}])`
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		ps.add(key, value, "is not a JSON list: %v %s", err, valid)
		return nil
	}
	var bs []Binding
	for _, raw := range limit(key, list, ps) {
		var pair struct {
			IP  *string `json:"ip_address"`
			MAC *string `json:"mac_address"`
		}
		if err := json.Unmarshal(raw, &pair); err != nil || pair.IP == nil {
			ps.add(key, string(raw), "is not an object with an ip_address %s", valid)
			continue
		}
		var mac string
		if pair.MAC != nil {
			mac = *pair.MAC
		}
		b, err := newPair(*pair.IP, mac, pair.MAC != nil)
		if err != nil {
			ps.add(key, string(raw), "%v", err)
			continue
		}
		bs = append(bs, b)
	}
	return bs
}

func newPair(ip, mac string, hasMAC bool) (Binding, error) {
	b := Binding{Origin: KeyPairs}
	var err error
	if b.Prefix, err = parsePrefix(ip); err != nil {
		return b, err
	}
	if hasMAC {
		if b.MAC, err = ParseMAC(mac); err != nil {
			return b, fmt.Errorf("has a MAC that %w", err)
		}
	}
	return b, nil
}

// limit cuts a list to MaxEntries entries and reports what it cut.
func limit[T any](key string, list []T, ps *Problems) []T {
	if len(list) <= MaxEntries {
		return list
	}
	ps.addInstead(key, fmt.Sprintf("%d entries", len(list)), "the rest grants nothing", "are too many (want at most %d)", MaxEntries)
	return list[:MaxEntries]
}
