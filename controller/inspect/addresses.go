package inspect

import (
	"context"
	"time"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// AddressUse is one binding of a port, and when the switch last saw it.
type AddressUse struct {
	Port    *PortInspection
	Binding model.Binding

	Announced Activity // claimed in ARP or neighbour discovery
	Used      Activity // the source of an IP packet
}

// Activity is when the switch last let something through.
type Activity struct {
	Counted bool          // the port's policy has flows that count it
	Packets uint64        // since the flows were added
	Known   bool          // the times below are known
	Ago     time.Duration // since the last packet; only where there was one
	Since   time.Duration // age of the counter
}

// Recorded reports whether there was such a packet, and it is known when.
func (s *Activity) Recorded() bool { return s.Known && s.Packets > 0 }

// Addresses returns the bindings of all ports of an inspected bridge. Without times,
// because the bridge's protocols exclude OpenFlow 1.5 or the switch can't be read, it
// returns them all the same, and why.
func Addresses(ctx context.Context, in *Inspection, runDir string) ([]AddressUse, error) {
	if in.Switch != nil {
		return addresses(in, nil), in.Switch
	}
	usage, err := openflow.ReadUsage(ctx, openflow.ManagementSocket(runDir, in.Bridge.Name))
	return addresses(in, usage), err
}

func addresses(in *Inspection, usage map[openflow.FlowID]openflow.Usage) []AddressUse {
	var list []AddressUse
	for i := range in.Ports {
		p := &in.Ports[i]
		for _, b := range p.Policy.Bindings {
			u := AddressUse{Port: p, Binding: b}
			for j := range p.Rules {
				r := &p.Rules[j]
				if s := u.activity(&r.Rule); s != nil {
					s.add(r, usage, in.Pipeline())
				}
			}
			list = append(list, u)
		}
	}
	return list
}

// activity returns what a rule of the port says about the binding, nil for nothing. It
// reads the rules that [flows.Compile] makes of a binding: docs/pipeline.md.
func (u *AddressUse) activity(r *flows.Rule) *Activity {
	b := &u.Binding
	switch p := r.Match.Payload.(type) {
	case flows.ARPPacket: // probes have no sender address: they ask and don't announce
		if p.SPA == b.Prefix && p.SHA == b.MAC && p.Op != 0 {
			return &u.Announced
		}
	case flows.IPv4:
		if p.Src == b.Prefix && u.speaks(r.Match.EthSrc, p.Inner) {
			return &u.Used
		}
	case flows.IPv6:
		if na, ok := p.Inner.(flows.NA); ok && na.Target == b.Prefix && na.Target.IsValid() {
			if na.TLL != nil && *na.TLL == b.MAC || na.TLL == nil && r.Match.EthSrc == b.MAC {
				return &u.Announced
			}
		}
		if r.Stage != flows.StageIP || p.Src != b.Prefix || !u.speaks(r.Match.EthSrc, p.Inner) {
			return nil
		}
		if !u.Port.Policy.Checks.IP() {
			return &u.Announced // without the check of IP sources only ND comes by here
		}
		return &u.Used
	}
	return nil
}

// speaks reports whether a rule on a source speaks for the binding's MAC: by its
// Ethernet source, or as the two that a VRRP virtual MAC has beside its own, its
// advertisements from an address of the own MAC and its NA from the own MAC.
func (u *AddressUse) speaks(src model.MAC, inner flows.Inner) bool {
	switch i := inner.(type) {
	case flows.Proto:
		return u.Binding.MAC == u.Port.Policy.MAC
	case flows.NA:
		return i.TLL != nil && *i.TLL == u.Binding.MAC
	}
	return src == u.Binding.MAC
}

// add takes another flow into account.
func (s *Activity) add(r *RuleInspection, usage map[openflow.FlowID]openflow.Usage, p flows.Pipeline) {
	if !r.Installed {
		return
	}
	s.Counted = true
	entry, err := openflow.Encode(&r.Rule, p)
	use, ok := usage[openflow.FlowID{Key: entry.Key, Cookie: entry.Cookie}]
	if err != nil || !ok {
		s.Packets += r.Packets
		return
	}
	switch {
	case use.Packets == 0:
	case s.Packets == 0 || use.Idle < s.Ago:
		s.Ago = use.Idle
	}
	s.Packets += use.Packets
	s.Since = max(s.Since, use.Age)
	s.Known = true
}
