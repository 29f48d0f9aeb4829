package advice

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/model"
)

// foreign is a MAC that a VIF used and doesn't have, and what it said with it.
type foreign struct {
	mac    model.MAC
	claims []drops.ClaimCount
	addrs  []netip.Addr // that no MAC of the VIF may speak for
}

// macs judges foreign MACs.
func (j *judge) macs(seen []drops.ClaimCount) {
	own := j.Policy.MACs()
	var all []*foreign
	for _, s := range seen {
		for _, mac := range inner(&s.Claim) {
			if slices.Contains(own, mac) {
				continue
			}
			i := slices.IndexFunc(all, func(f *foreign) bool { return f.mac == mac })
			if i < 0 {
				i = len(all)
				all = append(all, &foreign{mac: mac})
			}
			all[i].add(s, own, &j.Policy)
		}
	}
	ordinary := 0
	for _, f := range all {
		if !f.mac.IsVRRP() && !f.mac.IsGroup() && j.ownersOfMAC(f.mac) == nil {
			ordinary++
		}
	}
	for _, f := range all {
		j.foreignMAC(f, ordinary)
	}
}

func (f *foreign) add(s drops.ClaimCount, own []model.MAC, p *model.Policy) {
	f.claims = append(f.claims, s)
	c := &s.Claim
	for _, a := range []netip.Addr{c.SPA, c.Target, c.Source} {
		if a.IsValid() && !a.IsUnspecified() && !noise(a) && a != f.mac.LinkLocal() && !bound(p, own, a, true) && !slices.Contains(f.addrs, a) {
			f.addrs = append(f.addrs, a)
		}
	}
}

func (j *judge) foreignMAC(f *foreign, ordinary int) {
	finding := Finding{
		Verdict: Suspicious, Reason: model.ReasonMAC.String(), Samples: samples(f.claims), About: []string{f.mac.String()},
		What: "sent with the MAC " + f.mac.String(),
	}
	owners := j.ownersOfMAC(f.mac)
	switch {
	case f.mac.IsGroup() || f.mac == model.MAC{}:
		finding.Why = "No station has a group address or zero as its own: made up, or broken."
	case f.mac.IsVRRP():
		j.virtual(&finding, f, owners)
	case owners != nil:
		finding.Why = fmt.Sprintf("It is the MAC of %s: this VIF would receive what is meant for that one.", j.name(owners[0]))
	case ordinary > 1:
		finding.Why = fmt.Sprintf("One of %d foreign MACs: a bridge, nested virtualisation or macvlan, or a flood of made-up MACs. Only if it is known to bridge: --checks off.", ordinary)
	default:
		finding.Why = "A changed MAC, nested virtualisation, or a guest that poses as another machine. If the metadata is wrong, correct it with --mac."
		if n := len(f.addrs); n > 0 && n <= few && j.firstOwner(f.addrs) == nil {
			finding.Why += fmt.Sprintf(" If both MACs are its own: --pair %s.", j.merged(model.KeyPairs, pairs(f.addrs, f.mac)...)[model.KeyPairs])
		}
	}
	j.add(finding)
}

// virtual judges a VRRP virtual MAC (RFC 9568 section 7.3).
func (j *judge) virtual(finding *Finding, f *foreign, owners []*VIF) {
	finding.What += fmt.Sprintf(", the virtual one of VRRP group %d", f.mac[5])
	addrs := f.addrs
	if len(addrs) == 0 {
		addrs = singles(owners, f.mac)
	}
	const warning = "A guest that does this with the group of the network's gateway takes over all its traffic."
	switch owner := j.firstOwner(addrs); {
	case len(addrs) == 0:
		finding.Verdict = Decide
		finding.Why = "No address was seen with it. If it is a router of that group, give it --pair ADDRESS@" + f.mac.String() + ". " + warning
	case owner != nil:
		finding.Why = fmt.Sprintf("It says that it has %s, which %s owns.", list(text(addrs)), j.name(owner))
	case slices.Contains(addrs, metadataService):
		finding.Why = "It says that it has " + metadataService.String() + ", " + posing
	case len(addrs) > few:
		finding.Why = fmt.Sprintf("It says that it has %d addresses, more than a router of that group would.", len(addrs))
	default:
		finding.Verdict = Decide
		finding.What += ", for " + list(text(addrs))
		finding.Why = "If it is a router of that group, it needs a pair. " + warning
		if owners != nil {
			finding.Why = fmt.Sprintf("%s has a pair with that MAC. If both are routers of that group, this one needs it too. ", j.name(owners[0])) + warning
		}
		finding.set = j.merged(model.KeyPairs, pairs(addrs, f.mac)...)
	}
}

// blocked judges what a VIF sent that may send nothing.
func (j *judge) blocked(seen []drops.ClaimCount) {
	if j.blockedOnPurpose() {
		if len(seen) > 0 {
			j.add(Finding{
				Verdict: Harmless, Reason: model.ReasonBlocked.String(), Samples: samples(seen), What: "sent, though it is blocked",
				Why: "Its metadata says so: " + j.Policy.Origins.Mode + ".",
			})
		}
		return
	}
	if len(seen) == 0 {
		return
	}
	var macs []string
	f := Finding{Verdict: Suspicious, Reason: model.ReasonBlocked.String(), Samples: samples(seen)}
	var owner *VIF
	for _, s := range seen {
		if m := s.Claim.EthSrc.String(); !slices.Contains(macs, m) {
			macs = append(macs, m)
		}
		if o := j.ownersOfMAC(s.Claim.EthSrc); o != nil {
			owner = o[0]
		}
	}
	f.About, f.What = macs, "sent from "+list(macs)+", and is blocked: "+j.Policy.Origins.Mode
	switch {
	case owner != nil:
		f.Why = "That is the MAC of " + j.name(owner) + "."
	case len(macs) > 1:
		f.Why = "It has no usable MAC, and uses several: which is its own?"
	case seen[0].Claim.EthSrc.IsGroup() || seen[0].Claim.EthSrc.IsVRRP():
		f.Why = "No VIF has that as its own MAC."
	default:
		f.Verdict, f.set = Decide, map[string]string{model.KeyAttachedMAC: macs[0]}
		f.Why = "It has no usable MAC. If this is the one that it was given:"
	}
	j.add(f)
}

// blockedOnPurpose reports whether the VIF would be blocked with a MAC too.
func (j *judge) blockedOnPurpose() bool {
	after := j.with(map[string]string{model.KeyAttachedMAC: "02:00:00:00:00:01"})
	return after.Mode == model.Blocked
}

// ownersOfMAC are the other VIFs that have a MAC.
func (j *judge) ownersOfMAC(mac model.MAC) []*VIF { return j.others(j.host.owners[mac]) }

// others are the VIFs of a list that aren't the one being judged.
func (j *judge) others(list []*VIF) []*VIF {
	var others []*VIF
	for _, o := range list {
		if o.Row.UUID != j.Row.UUID {
			others = append(others, o)
		}
	}
	return others
}

// firstOwner is a VIF that owns one of the addresses, nil if none does.
func (j *judge) firstOwner(addrs []netip.Addr) *VIF {
	for _, a := range addrs {
		if o := j.holder(a); o != nil && !o.pair {
			return o.vif
		}
	}
	return nil
}

// singles are the addresses that VIFs have with a MAC.
func singles(vifs []*VIF, mac model.MAC) []netip.Addr {
	var addrs []netip.Addr
	for _, v := range vifs {
		for _, b := range v.Policy.Bindings {
			if b.MAC == mac && b.Origin == model.KeyPairs && b.Prefix.IsSingleIP() && !slices.Contains(addrs, b.Prefix.Addr()) {
				addrs = append(addrs, b.Prefix.Addr())
			}
		}
	}
	return addrs
}

func pairs(addrs []netip.Addr, mac model.MAC) []string {
	var words []string
	for _, a := range addrs {
		words = append(words, a.String()+"@"+mac.String())
	}
	return words
}

func text(addrs []netip.Addr) []string {
	var words []string
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return words
}
