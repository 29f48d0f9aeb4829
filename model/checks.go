package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Checks says how far a VIF is checked. Each level includes those before it.
type Checks uint8

// The levels, in the order of the pipeline's stages.
const (
	CheckNone     Checks = iota // nothing
	CheckMAC                    // sender MACs
	CheckMACARP                 // also ARP and neighbour discovery claims, and the guards
	CheckMACARPIP               // also IP sources
	checkAuto                   // CheckMAC, or CheckMACARPIP once an address key is there
	checkBlock                  // everything is dropped
)

// ARP reports whether ARP and neighbour discovery claims are checked and the
// guards are on.
func (c Checks) ARP() bool { return c == CheckMACARP || c == CheckMACARPIP }

// IP reports whether IP sources are checked.
func (c Checks) IP() bool { return c == CheckMACARPIP }

// String returns the value of port-security that means c; "" for CheckNone.
func (c Checks) String() string {
	switch c {
	case CheckMAC:
		return "mac"
	case CheckMACARP:
		return "mac,arp"
	case CheckMACARPIP:
		return "mac,arp,ip"
	case CheckNone, checkAuto, checkBlock:
	}
	return ""
}

// checksWords are the values of port-security.
var checksWords = []string{"auto", "mac", "mac,arp", "mac,arp,ip", "off", "block"}

// checksText says for people which checks a policy has on.
func checksText(p *Policy) string {
	switch p.Mode {
	case Off:
		return "off"
	case Blocked:
		return "block"
	case Trusted, Checked:
	}
	return p.Checks.String()
}

// parseChecks parses a value of port-security. An unusable value counts as
// mac,arp,ip, the strictest policy that lets a correctly declared VIF work.
func parseChecks(key, value string, ps *Problems) Checks {
	if c, ok := checksOf(value); ok { // as it is mostly written
		return c
	}
	words := splitWords(value)
	slices.Sort(words)
	c, ok := checksOf(strings.Join(slices.Compact(words), ","))
	if !ok {
		ps.addInstead(key, value, "mac,arp,ip is used", "is not valid (want %s)", oneOf(checksWords))
	}
	return c
}

// checksOf returns what a value of port-security means whose words are in the usual order
// or sorted, and the strictest checks with false for any other.
func checksOf(value string) (Checks, bool) {
	switch value {
	case "auto":
		return checkAuto, true
	case "off":
		return CheckNone, true
	case "block":
		return checkBlock, true
	case "mac":
		return CheckMAC, true
	case "mac,arp", "arp,mac":
		return CheckMACARP, true
	case "mac,arp,ip", "arp,ip,mac":
		return CheckMACARPIP, true
	}
	return CheckMACARPIP, false
}

// Action says what happens to a packet that fails a check.
type Action uint8

// The actions.
const (
	Enforce Action = iota // it is dropped
	Observe               // it passes and is counted
)

func (a Action) String() string {
	if a == Observe {
		return "observe"
	}
	return "enforce"
}

// actionWords are the values of port-security-action.
var actionWords = []string{"enforce", "observe"}

func parseAction(key, value string, ps *Problems) Action {
	switch strings.TrimSpace(value) {
	case "enforce":
		return Enforce
	case "observe":
		return Observe
	}
	ps.addInstead(key, value, "enforce is used", "is not valid (want %s)", oneOf(actionWords))
	return Enforce
}

// Allow lists the guards that are lifted for a VIF.
type Allow struct {
	DHCPServer  bool     // DHCPv4 and DHCPv6 server messages
	Router      bool     // router advertisements and ICMPv6 redirects
	PriorityTag bool     // one 802.1Q tag of VID 0
	VLANTrunk   bool     // one 802.1Q tag of any VID
	EtherTypes  []uint16 // further ethertypes, ascending
}

// guards are the words of port-security-allow, and what each lifts.
var guards = [...]struct {
	word string
	of   func(*Allow) *bool
}{
	{"dhcp-server", func(a *Allow) *bool { return &a.DHCPServer }},
	{"router", func(a *Allow) *bool { return &a.Router }},
	{"priority-tag", func(a *Allow) *bool { return &a.PriorityTag }},
	{"vlan-trunk", func(a *Allow) *bool { return &a.VLANTrunk }},
}

// allowWords are the words of port-security-allow, as far as they can be completed.
var allowWords = func() (words []string) {
	for _, g := range guards {
		words = append(words, g.word)
	}
	return append(words, etherTypeKeyword+"0x")
}()

// allowNames lists them in a sentence.
var allowNames = oneOf(allowWords) + "NNNN"

// String returns the value of port-security-allow that means a.
func (a Allow) String() string {
	var w []string
	for _, g := range guards {
		if *g.of(&a) {
			w = append(w, g.word)
		}
	}
	for _, t := range a.EtherTypes {
		w = append(w, fmt.Sprintf("%s0x%04x", etherTypeKeyword, t))
	}
	return strings.Join(w, ",")
}

func parseAllow(key, value string, ps *Problems) Allow {
	var a Allow
	for _, w := range limit(key, splitWords(value), ps) {
		if a.lift(w) {
			continue
		}
		t, reason := parseEtherType(w)
		if reason != "" {
			ps.add(key, w, "%s", reason)
			continue
		}
		a.EtherTypes = append(a.EtherTypes, t)
	}
	slices.Sort(a.EtherTypes)
	a.EtherTypes = slices.Compact(a.EtherTypes)
	return a
}

// lift lifts the guard of that name, and reports whether there is one.
func (a *Allow) lift(word string) bool {
	for _, g := range guards {
		if g.word == word {
			*g.of(a) = true
			return true
		}
	}
	return false
}

// Ethertypes that the stages judge themselves, so that ethertype:0xNNNN can't lift them.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
	EtherTypeRARP = 0x8035
	EtherTypeVLAN = 0x8100 // IEEE 802.1Q
	EtherTypeIPv6 = 0x86dd
	EtherTypeQinQ = 0x88a8 // IEEE 802.1ad
)

// MinEtherType is the least value that is an ethertype (IEEE 802.3 section 3.2.6).
const MinEtherType = 0x0600

const etherTypeKeyword = "ethertype:"

// parseEtherType parses ethertype:0xNNNN; reason is "" when it succeeds.
func parseEtherType(word string) (t uint16, reason string) {
	digits, ok := strings.CutPrefix(word, etherTypeKeyword+"0x")
	if !ok {
		return 0, "is not a guard (want " + allowNames + ")"
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	if err != nil || n < MinEtherType {
		return 0, "is not an ethertype (want 0x0600 to 0xffff, e.g. ethertype:0x88cc)"
	}
	switch n {
	case EtherTypeIPv4, EtherTypeARP, EtherTypeRARP, EtherTypeIPv6:
		return 0, "is always judged by its own stage and can't be lifted; use port-security to lift checks"
	case EtherTypeVLAN, EtherTypeQinQ:
		return 0, "is a VLAN tag; use priority-tag or vlan-trunk"
	}
	return uint16(n), ""
}
