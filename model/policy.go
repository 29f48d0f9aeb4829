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

// Policy is what one port may be: the outcome of [Resolve]. What a key decides on has a
// field here, which the key's row in the table sets.
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
	Mode  string   // the reason for Mode and Checks
	byKey []string // as in keys; shorter, or nil, where nobody gave the rest
}

// Of returns who gave a key, of which a policy has the value: the name of the key that
// holds it, or words. It is "" if nobody did.
func (o *Origins) Of(key string) string { return o.of(keyIndex(key)) }

func (o *Origins) of(n int) string {
	if n < 0 || n >= len(o.byKey) {
		return ""
	}
	return o.byKey[n]
}

func (o *Origins) set(n int, origin string) {
	if o.byKey == nil {
		o.byKey = make([]string, len(keys))
	}
	o.byKey[n] = origin
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
	if !in.Row.IsVIF() {
		return in.resolveUnmarked()
	}
	var p Policy
	row := in.Row.keysFor(&p.Problems)
	p.takeRow(row)
	if name, ok := row.ExternalIDs[KeyProfile]; ok {
		p.takeProfile(name, in.Profile)
	}
	p.takeDefaults(in.defaults)
	p.resolveChecks()
	p.resolveMAC()
	p.Bindings = withLinkLocal(p.MAC, withOwn(p.MAC, p.Bindings))
	return p
}

// resolveChecks turns the checks that were asked for into a mode and what is checked.
func (p *Policy) resolveChecks() {
	p.Origins.Mode = p.Origins.Of(KeyChecks)
	switch p.Checks {
	case CheckNone:
		p.Mode = Off
	case checkBlock:
		p.Mode, p.Checks = Blocked, CheckNone
	case checkAuto:
		p.Mode, p.Checks = Checked, CheckMAC
		switch {
		case len(p.Bindings) > 0:
			p.Checks = CheckMACARPIP
			p.Origins.Mode += ", auto with an address"
		case p.Origins.Of(KeyAddresses) != "" || p.Origins.Of(KeyPairs) != "":
			p.Checks = CheckMACARPIP
			p.Origins.Mode += ", auto with an address key that grants nothing"
		default:
			p.Origins.Mode += ", auto without an address"
		}
	default:
		p.Mode = Checked
	}
}

// resolveUnmarked treats a port without any VIF key: trusted, or blocked where the
// bridge asks for that and the port isn't part of the switch's own wiring.
func (in *Input) resolveUnmarked() Policy {
	bridge, i := &in.Bridge, in.Row
	switch {
	case !bridge.UnmarkedBlock:
		return Policy{Mode: Trusted, Origins: Origins{Mode: "no " + KeyAttachedMAC + " and no " + KeyChecks + " key"}}
	case i.Name == bridge.Name:
		return Policy{Mode: Trusted, Origins: Origins{Mode: "the bridge's own port"}}
	case isWiring(i.Type):
		return Policy{Mode: Trusted, Origins: Origins{Mode: "a " + i.Type + " port"}}
	}
	p := Policy{Mode: Blocked, Origins: Origins{Mode: "unmarked, and the bridge has " + KeyUnmarked + "=block"}}
	for _, d := range in.defaults {
		if keys[d.key].Name == KeyAction {
			p.takeDefault(d)
		}
	}
	return p
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

// resolveMAC blocks a VIF that needs a MAC and has none that is usable. One that needs
// none may lack it.
func (p *Policy) resolveMAC() {
	given := p.Origins.Of(KeyAttachedMAC) != ""
	if !given {
		p.Origins.set(keyIndex(KeyAttachedMAC), KeyAttachedMAC)
	}
	switch {
	case p.MAC != MAC{}:
	case p.Mode != Checked:
		p.Problems = slices.DeleteFunc(p.Problems, func(problem Problem) bool {
			return problem.Key == p.Origins.Of(KeyAttachedMAC) && problem.Value == ""
		})
	default:
		if !given {
			missing := Problem{Key: KeyAttachedMAC, Reason: "is missing (want the VIF's MAC address, e.g. 52:54:00:12:34:56)"}
			p.Problems = append(Problems{missing}, p.Problems...)
		}
		p.Mode, p.Checks, p.Origins.Mode = Blocked, CheckNone, "no usable "+KeyAttachedMAC
	}
}

// withOwn gives the VIF's own MAC to the bindings without one.
func withOwn(own MAC, given []Binding) []Binding {
	for i := range given {
		if given[i].MAC == (MAC{}) {
			given[i].MAC = own
		}
	}
	return given
}

// withLinkLocal adds the link-local binding of every MAC, and sorts.
func withLinkLocal(own MAC, given []Binding) []Binding {
	bs, macs := given, []MAC{own}
	for _, b := range given {
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

// Part is one part of a policy as it is shown.
type Part struct {
	Key    *Key
	Value  string // as the key would give it; "" for nothing
	Text   string // for people
	Origin string // who gave it, in words; "" if nobody did and there is no default
}

// Parts returns the parts of a policy that one value can show, in the order of the keys.
// [Policy.Bindings] are the rest.
func (p *Policy) Parts() []Part {
	var parts []Part
	for n := range keys {
		k := &keys[n]
		if k.Label == "" {
			continue
		}
		part := Part{Key: k, Value: k.value(p), Origin: p.Origins.of(n)}
		part.Text = part.Value
		if k.text != nil {
			part.Text = k.text(p)
		}
		switch {
		case k.Name == KeyChecks:
			part.Origin = p.Origins.Mode
		case part.Origin == "" && k.HasDefault():
			part.Origin = originDefault
		}
		if part.Text == "" {
			part.Text = k.None
		}
		parts = append(parts, part)
	}
	return parts
}
