package model

import (
	"net/netip"
	"slices"
)

// Mode says how packets from a port are treated.
type Mode uint8

// The modes.
const (
	Trusted Mode = iota // not a VIF; passes unchecked
	Off                 // a VIF without any check
	Checked             // a VIF with the checks of its policy
	Blocked             // sends nothing
)

// Policy is what one port may be: the outcome of [Resolve].
type Policy struct {
	Mode     Mode
	Checks   Checks // CheckNone unless Mode is Checked
	Action   Action
	Allow    Allow
	Flood    Flood     // as asked for; [Policy.FloodLimit] is what counts
	MAC      MAC       // the VIF's own MAC; zero when it has none that is usable
	Bindings []Binding // sorted and without duplicates, the link-local ones included
	Problems Problems  // metadata that couldn't be used
	Origins  Origins
}

// Origins says where each part of a policy came from, in words.
type Origins struct {
	Mode   string // the reason for Mode and Checks
	Action string
	Allow  string
	Flood  string
	MAC    string
}

// MACs returns M, the MACs that the VIF may send from: its own and those of its
// pairs, without duplicates, its own first.
func (p *Policy) MACs() []MAC {
	var macs []MAC
	if p.MAC != (MAC{}) {
		macs = append(macs, p.MAC)
	}
	for _, b := range p.Bindings {
		if !slices.Contains(macs, b.MAC) {
			macs = append(macs, b.MAC)
		}
	}
	return macs
}

// Origins that are no key.
const (
	originBridge  = "the bridge's default"
	originDefault = "default"
)

// Resolve decides what a port of a guarded bridge may be: [Input.Resolve] of [NewInput].
func Resolve(bridge *BridgeConfig, profiles map[string]string, i *Interface) Policy {
	in := NewInput(bridge, profiles, i)
	return in.Resolve()
}

// Resolve decides what the port may be. It depends on nothing but the input, so that one
// VIF's metadata can't affect another's.
func (in *Input) Resolve() Policy {
	i := in.Row
	if !i.IsVIF() {
		return resolveUnmarked(&in.Bridge, i)
	}
	var ps Problems
	s := ownSettings(i, &ps)
	if name, ok := i.ExternalIDs[KeyProfile]; ok {
		s = s.orElse(profileSettings(name, in.Profile, &ps))
	}
	s = s.orElse(bridgeSettings(&in.Bridge))

	p := Policy{
		Action:  s.action,
		Allow:   s.allow,
		Flood:   s.flood,
		Origins: Origins{Mode: s.checksOrigin, Action: s.actionOrigin, Allow: s.allowOrigin, Flood: s.floodOrigin},
	}
	macProblem := p.resolveMAC(i, &ps)
	declared := declaredBindings(i, p.MAC, &ps)
	switch s.checks {
	case CheckNone:
		p.Mode = Off
	case checkBlock:
		p.Mode = Blocked
	case checkAuto:
		p.Mode, p.Checks = Checked, CheckMAC
		p.Origins.Mode += ", auto without an address"
		if len(declared) > 0 {
			p.Checks = CheckMACARPIP
			p.Origins.Mode = s.checksOrigin + ", auto with an address"
		}
	default:
		p.Mode, p.Checks = Checked, s.checks
	}
	if macProblem != nil && (p.Mode == Checked || macProblem.Value != "") {
		ps = append(Problems{*macProblem}, ps...) // a MAC that isn't needed may be missing
	}
	if p.Mode == Checked && p.MAC == (MAC{}) {
		p.Mode, p.Checks, p.Origins.Mode = Blocked, CheckNone, "no usable "+KeyAttachedMAC
	}
	p.Bindings = withLinkLocal(p.MAC, declared)
	p.Problems = ps
	return p
}

// resolveUnmarked treats a port without any VIF key: trusted, or blocked where the
// bridge asks for that and the port isn't part of the switch's own wiring.
func resolveUnmarked(bridge *Settings, i *Interface) Policy {
	switch {
	case !bridge.UnmarkedBlock:
		return Policy{Mode: Trusted, Origins: Origins{Mode: "no " + KeyAttachedMAC + " and no " + KeyChecks + " key"}}
	case i.Name == bridge.Name:
		return Policy{Mode: Trusted, Origins: Origins{Mode: "the bridge's own port"}}
	case isWiring(i.Type):
		return Policy{Mode: Trusted, Origins: Origins{Mode: "a " + i.Type + " port"}}
	}
	s := bridgeSettings(bridge)
	return Policy{
		Mode: Blocked, Action: s.action,
		Origins: Origins{Mode: "unmarked, and the bridge has " + KeyUnmarked + "=block", Action: s.actionOrigin},
	}
}

// isWiring reports whether an interface type connects bridges or hosts: patch ports
// and the tunnel types of ovs-vswitchd.conf.db(5).
func isWiring(t string) bool {
	switch t {
	case "patch", "gre", "ip6gre", "vxlan", "geneve", "lisp", "stt", "erspan", "ip6erspan", "gtpu", "bareudp", "srv6":
		return true
	}
	return false
}

// resolveMAC reads the VIF's own MAC. The problem it returns matters most, so the
// caller puts it first.
func (p *Policy) resolveMAC(i *Interface, ps *Problems) *Problem {
	key, value := KeyAttachedMAC, ""
	value, ok := i.ExternalIDs[key]
	alt, altOK := i.ExternalIDs[KeyAttachedMACAlt]
	if !ok && altOK {
		key, value, ok = KeyAttachedMACAlt, alt, true
	}
	p.Origins.MAC = key
	if !ok {
		return &Problem{Key: key, Reason: "is missing (want the VIF's MAC address, e.g. 52:54:00:12:34:56)"}
	}
	mac, err := ParseMAC(value)
	if err != nil {
		return &Problem{Key: key, Value: value, Reason: err.Error()}
	}
	p.MAC = mac
	if other, err := ParseMAC(alt); key == KeyAttachedMAC && altOK && (err != nil || other != mac) {
		ps.add(KeyAttachedMACAlt, alt, "differs from %s, which is used", KeyAttachedMAC)
	}
	return nil
}

// declaredBindings reads both address keys.
func declaredBindings(i *Interface, own MAC, ps *Problems) []Binding {
	var bs []Binding
	if v, ok := i.ExternalIDs[KeyAddresses]; ok {
		bs = parseAddresses(v, own, ps)
	}
	if v, ok := i.ExternalIDs[KeyPairs]; ok {
		bs = append(bs, parsePairs(v, own, ps)...)
	}
	return bs
}

// withLinkLocal adds the link-local binding of every MAC, and sorts.
func withLinkLocal(own MAC, declared []Binding) []Binding {
	bs := slices.Clone(declared)
	macs := []MAC{own}
	for _, b := range declared {
		macs = append(macs, b.MAC)
	}
	for _, m := range macs {
		if m != (MAC{}) {
			bs = append(bs, Binding{MAC: m, Prefix: netip.PrefixFrom(m.LinkLocal(), 128), Origin: OriginLinkLocal})
		}
	}
	bs = slices.DeleteFunc(bs, func(b Binding) bool { return b.MAC == MAC{} })
	return sortBindings(bs)
}
