package frame

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vifguard/vifguard/model"
)

// Claim is whom a frame says it is from, and nothing about whom it is for: frames of
// one sender that pretends to be one station have equal claims. It is comparable, and
// written as JSON in a stable form. What a frame doesn't have is zero.
type Claim struct {
	EthSrc    model.MAC `json:"eth_src"`
	VLANs     string    `json:"vlans,omitempty"` // VIDs from the outside in, such as "0,100"; at most shownTags and "..."
	EtherType EtherType `json:"ethertype"`       // behind tags and LLC/SNAP; 0 for other LLC
	Kind      string    `json:"kind,omitempty"`  // such as "ARP probe", "NA", "DHCP OFFER", "IPv4"

	// Of ARP, RARP and neighbour discovery: the station that the frame speaks for.
	SHA    model.MAC  `json:"sha,omitzero"`    // sender hardware address
	SPA    netip.Addr `json:"spa,omitzero"`    // sender protocol address
	Target netip.Addr `json:"target,omitzero"` // of ARP probes, duplicate address detection, NA and redirects
	Option model.MAC  `json:"option,omitzero"` // ND link-layer option: the one that isn't EthSrc, if there are several

	Source netip.Addr `json:"source,omitzero"` // IP source
}

// EtherType is an Ethernet type, written as 0x0806.
type EtherType uint16

func (t EtherType) String() string { return fmt.Sprintf("0x%04x", uint16(t)) }

// MarshalText writes the type as String does.
func (t EtherType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *EtherType) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 0, 16)
	if err != nil {
		return fmt.Errorf("%q is not an ethertype (want e.g. 0x0806)", b)
	}
	*t = EtherType(v)
	return nil
}

// Claim returns what the frame claims.
func (f *Frame) Claim() Claim {
	c := Claim{EthSrc: f.Src, VLANs: f.vids(), EtherType: EtherType(f.EtherType)}
	if f.IP != nil {
		c.Source = f.IP.Src
	}
	switch {
	case f.ARP != nil:
		f.claimARP(&c)
	case f.ND != nil:
		f.claimND(&c)
	case f.DHCP != nil:
		c.Kind = f.DHCP.name()
	case f.VRRP != nil:
		c.Kind = protocols[protoVRRP]
	case f.ICMPv6 != nil:
		c.Kind = f.protocolName()
	case f.IP != nil:
		c.Kind = fmt.Sprintf("IPv%d", f.IP.Version)
	}
	return c
}

func (f *Frame) vids() string {
	var words []string
	for i, tag := range f.Tags {
		if i == shownTags {
			words = append(words, "...")
			break
		}
		words = append(words, strconv.Itoa(int(tag.VID)))
	}
	return strings.Join(words, ",")
}

func (f *Frame) claimARP(c *Claim) {
	a := f.ARP
	c.SHA, c.SPA = a.SHA, a.SPA
	switch {
	case f.EtherType == model.EtherTypeRARP:
		c.Kind = etherTypes[model.EtherTypeRARP]
	case a.Op == opRequest && a.SPA.IsValid() && a.SPA.IsUnspecified():
		c.Kind, c.Target = "ARP probe", a.TPA
	case a.Op == opRequest:
		c.Kind = "ARP request"
	case a.Op == opReply:
		c.Kind = "ARP reply"
	default:
		c.Kind = fmt.Sprintf("ARP opcode %d", a.Op)
	}
}

func (f *Frame) claimND(c *Claim) {
	c.Kind = ndMessages[f.ICMPv6.Type].name
	switch dad := f.IP.Src.IsUnspecified(); {
	case f.ICMPv6.Type == ndNS && dad:
		c.Kind, c.Target = "DAD", f.ND.Target
	case f.ICMPv6.Type != ndNS:
		c.Target = f.ND.Target
	}
	for _, option := range f.ND.LinkLayer {
		if c.Option == (model.MAC{}) || option.MAC != f.Src {
			c.Option = option.MAC
		}
	}
}
