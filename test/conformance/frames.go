package conformance

import "slices"

// Frame is one frame of the suite.
type Frame struct {
	Name   string
	Class  string
	Source string // the RFC, CVE or incident it comes from
	// Bytes builds the frame as the VIF would send it.
	Bytes func(v *VIF) []byte
	// Verdicts are what the contract demands.
	Verdicts Verdicts
	// Limit says where a real Open vSwitch can't do as the contract demands.
	Limit *Limit
}

// Limit is a gap between the contract and what an Open vSwitch can see.
type Limit struct {
	Why      string   // what the switch can't see, and why that does no harm
	Verdicts Verdicts // what the switch does instead
	// Userspace says that only the userspace datapath does: the kernel's does as the
	// contract demands.
	Userspace bool
}

// Seen returns the verdict that a real switch with the userspace datapath can give under a
// policy.
func (f *Frame) Seen(p *Policy) string {
	if f.Limit != nil {
		return f.Limit.Verdicts.Want(p)
	}
	return f.Verdicts.Want(p)
}

// SeenByKernel returns the verdict that the kernel's datapath can give under a policy.
func (f *Frame) SeenByKernel(p *Policy) string {
	if f.Limit != nil && f.Limit.Userspace {
		return f.Verdicts.Want(p)
	}
	return f.Seen(p)
}

// Frames returns the whole suite. Names are unique.
func Frames() []Frame {
	return slices.Concat(
		class("ethernet", etherFrames()),
		class("arp", arpFrames()),
		class("arp-malformed", malformedARPFrames()),
		class("rarp", rarpFrames()),
		class("vrrp", vrrpFrames()),
		class("ipv4", ipv4Frames()),
		class("igmp", igmpFrames()),
		class("icmpv4", icmp4Frames()),
		class("dhcp", dhcpFrames()),
		class("ipv6", ipv6Frames()),
		class("mld", mldFrames()),
		class("nd-solicitation", nsFrames()),
		class("nd-advertisement", naFrames()),
		class("nd-router", routerFrames()),
		class("nd-options", optionFrames()),
		class("nd-hidden", hiddenFrames()),
		class("nd-fragment", fragmentedNDFrames()),
		class("unreadable", unreadableFrames()),
		class("nd-length", lengthFrames()),
		class("vlan", vlanFrames()),
		class("llc", llcFrames()),
		class("ethertype", etherTypeFrames()),
	)
}

func class(name string, frames []Frame) []Frame {
	for i := range frames {
		frames[i].Class = name
	}
	return frames
}

// row is a Frame in the form in which the tables write it.
func row(name, source string, bytes func(v *VIF) []byte, verdicts Verdicts) Frame {
	return Frame{Name: name, Source: source, Bytes: bytes, Verdicts: verdicts}
}

// limited adds a limit to a frame.
func (f Frame) limited(why string, verdicts Verdicts) Frame {
	f.Limit = &Limit{Why: why, Verdicts: verdicts}
	return f
}

// limitedInUserspace adds the limit of the userspace datapath: what is behind the end of a
// packet isn't measured.
func (f Frame) limitedInUserspace(verdicts Verdicts) Frame {
	const why = "the userspace datapath measures the packet, and reads nothing behind it. Receivers don't either"
	f.Limit = &Limit{Why: why, Verdicts: verdicts, Userspace: true}
	return f
}
