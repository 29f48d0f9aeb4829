package frame

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/model"
)

// maxLine limits a line. Lists that a guest can make long are counted where they
// have more elements than this, or where the line would be too long otherwise.
const (
	maxLine      = 300
	shownTags    = 2
	shownHeaders = 3
	shownAddrs   = 1
)

// String says in one line of printable characters what the frame claims. What is
// malformed stands in Problems.
func (f *Frame) String() string {
	s := f.line(false)
	if len(s) > maxLine {
		s = f.line(true)
	}
	return s[:min(len(s), maxLine)]
}

// line is the whole line; a brief one counts what is around the payload.
func (f *Frame) line(brief bool) string { return f.tags(brief) + f.claim(brief) }

func (f *Frame) tags(brief bool) string {
	var b strings.Builder
	if n := len(f.Tags); n > shownTags || n > 0 && brief {
		fmt.Fprintf(&b, "%d VLAN tags > ", n)
	} else {
		for _, tag := range f.Tags {
			b.WriteString(tag.String() + " > ")
		}
	}
	if f.LLC != nil && f.EtherType != 0 {
		b.WriteString("LLC/SNAP > ")
	}
	return b.String()
}

func (t Tag) String() string {
	if t.PCP > 0 {
		return fmt.Sprintf("VLAN %d priority %d (0x%04x)", t.VID, t.PCP, t.TPID)
	}
	return fmt.Sprintf("VLAN %d (0x%04x)", t.VID, t.TPID)
}

func (f *Frame) claim(brief bool) string {
	switch {
	case f.ARP != nil:
		return f.arpClaim()
	case f.ND != nil:
		return f.ndClaim(brief)
	case f.IP != nil:
		return f.ipClaim(brief)
	case f.EtherType != 0:
		return f.typeName() + f.stations()
	case f.LLC != nil:
		return f.llcName() + f.stations()
	}
	if f.Src == f.Dst { // both zero, most likely: not even they could be read
		return "unreadable"
	}
	return "unreadable" + f.stations()
}

// stations is what can be said of any frame.
func (f *Frame) stations() string { return fmt.Sprintf(" from %s to %s", f.Src, f.Dst) }

// otherSender says so if the frame's source isn't the MAC that its payload claims.
func (f *Frame) otherSender(claimed model.MAC) string {
	if claimed == f.Src {
		return ""
	}
	return ", in a frame from " + f.Src.String()
}

func (f *Frame) typeName() string {
	if name, ok := etherTypes[f.EtherType]; ok {
		return fmt.Sprintf("ethertype 0x%04x (%s)", f.EtherType, name)
	}
	return fmt.Sprintf("ethertype 0x%04x", f.EtherType)
}

func (f *Frame) llcName() string {
	switch l := f.LLC; {
	case l.SNAP:
		return fmt.Sprintf("LLC/SNAP organization %06x protocol 0x%04x", l.OUI, l.Protocol)
	case l.DSAP == sapSTP && l.SSAP == sapSTP:
		return "LLC spanning tree"
	default:
		return fmt.Sprintf("LLC from service 0x%02x to 0x%02x", l.SSAP, l.DSAP)
	}
}

func (f *Frame) arpClaim() string {
	name := "ARP"
	if f.EtherType == model.EtherTypeRARP {
		name = "RARP"
	}
	if !f.ARP.SPA.IsValid() {
		return fmt.Sprintf("%s opcode %d, addresses unreadable,%s", name, f.ARP.Op, f.stations())
	}
	return f.ARP.claim(name) + f.otherSender(f.ARP.SHA)
}

func (a *ARP) claim(name string) string {
	switch {
	case name == "ARP" && a.Op == opRequest && a.SPA.IsUnspecified():
		return fmt.Sprintf("ARP probe from %s: who has %s", a.SHA, a.TPA)
	case name == "ARP" && a.Op == opRequest && a.SPA == a.TPA:
		return fmt.Sprintf("ARP announcement: %s is at %s", a.SPA, a.SHA)
	case name == "ARP" && a.Op == opRequest:
		return fmt.Sprintf("ARP request from %s (%s): who has %s", a.SHA, a.SPA, a.TPA)
	case name == "ARP" && a.Op == opReply:
		return fmt.Sprintf("ARP reply to %s (%s): %s is at %s", a.THA, a.TPA, a.SPA, a.SHA)
	case name == "RARP" && a.Op == opReverseRequest && a.SHA == a.THA:
		return fmt.Sprintf("RARP announcement of %s", a.SHA)
	case name == "RARP" && a.Op == opReverseRequest:
		return fmt.Sprintf("RARP request from %s: which address has %s", a.SHA, a.THA)
	case name == "RARP" && a.Op == opReverseReply:
		return fmt.Sprintf("RARP reply from %s: %s has %s", a.SHA, a.THA, a.TPA)
	}
	return fmt.Sprintf("%s opcode %d from %s (%s) to %s (%s)", name, a.Op, a.SHA, a.SPA, a.THA, a.TPA)
}

func (f *Frame) ndClaim(brief bool) string {
	prefix := ""
	if len(f.IP.Headers) > 0 {
		prefix = f.ipName(brief) + " "
	}
	claim := fmt.Sprintf("%s%s (source %s%s)", prefix, f.ndMessage(), f.IP.Src, f.at(false))
	for _, target := range []bool{false, true} {
		mac, ok := f.linkLayer(target)
		if target && f.ICMPv6.Type == ndRedirect {
			continue // the target is another station, rightly
		}
		if other := f.otherSender(mac); ok && other != "" {
			return claim + other
		}
	}
	return claim
}

func (f *Frame) ndMessage() string {
	n, m := f.ND, ndMessages[f.ICMPv6.Type]
	at := f.at(true)
	switch {
	case m.hasTarget && !n.Target.IsValid():
		return m.name + ": unreadable"
	case f.ICMPv6.Type == ndNS && f.IP.Src.IsUnspecified():
		return fmt.Sprintf("NS: who has %s, duplicate address detection", n.Target)
	case f.ICMPv6.Type == ndNS:
		return fmt.Sprintf("NS: who has %s", n.Target)
	case f.ICMPv6.Type == ndNA && at == "":
		return fmt.Sprintf("NA: %s is here, no link-layer option", n.Target)
	case f.ICMPv6.Type == ndNA:
		return fmt.Sprintf("NA: %s is%s", n.Target, at)
	case f.ICMPv6.Type == ndRedirect:
		return fmt.Sprintf("redirect: %s is reached by %s%s", n.Destination, n.Target, at)
	}
	return m.name
}

// at says where the source or target is, if there is such an option.
func (f *Frame) at(target bool) string {
	if mac, ok := f.linkLayer(target); ok {
		return " at " + mac.String()
	}
	return ""
}

// linkLayer is the address in the first source or target link-layer option.
func (f *Frame) linkLayer(target bool) (model.MAC, bool) {
	for _, option := range f.ND.LinkLayer {
		if option.Target == target {
			return option.MAC, true
		}
	}
	return model.MAC{}, false
}

// ipName is the version with what is unusual about the packet.
func (f *Frame) ipName(brief bool) string {
	ip := f.IP
	notes := slices.DeleteFunc(slices.Clone(ip.Headers), func(name string) bool {
		return name == extensions[protoFragment] // ip.Fragment says more
	})
	if n := len(notes); n > shownHeaders || n > 0 && brief {
		notes = []string{fmt.Sprintf("%d headers", n)}
	}
	if ip.Fragment != Whole {
		notes = append(notes, string(ip.Fragment))
	}
	name := fmt.Sprintf("IPv%d", ip.Version)
	if len(notes) > 0 {
		name += " (" + strings.Join(notes, ", ") + ")"
	}
	return name
}

func (f *Frame) ipClaim(brief bool) string {
	src, dst := f.IP.Src.String(), f.IP.Dst.String()
	for _, ports := range []*Ports{f.UDP, f.TCP} {
		if ports != nil {
			src = netip.AddrPortFrom(f.IP.Src, ports.Src).String()
			dst = netip.AddrPortFrom(f.IP.Dst, ports.Dst).String()
		}
	}
	return fmt.Sprintf("%s %s %s > %s%s", f.ipName(brief), f.protocolName(), src, dst, f.service())
}

// service is what is known about the payload.
func (f *Frame) service() string {
	switch {
	case f.DHCP != nil:
		return ", " + f.DHCP.name()
	case f.VRRP != nil:
		v := f.VRRP
		s := fmt.Sprintf(", version %d router %d priority %d", v.Version, v.Router, v.Priority)
		if len(v.Addrs) > 0 {
			s += " for " + v.Addrs[0].String()
		}
		if len(v.Addrs) > shownAddrs {
			s += fmt.Sprintf(" and %d more", len(v.Addrs)-shownAddrs)
		}
		return s
	}
	return ""
}
