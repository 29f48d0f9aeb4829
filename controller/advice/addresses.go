package advice

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/model"
)

// few is the number of addresses that an ordinary VIF may lack. Beyond it a VIF routes,
// or makes its sources up.
const few = 8

// use is an address that a VIF has no right to, and what it did with it.
type use struct {
	addr    netip.Addr
	mac     model.MAC    // that spoke for it
	reason  model.Reason // arp or nd when it was announced, otherwise ip
	used    bool         // as IP source
	asked   bool         // it was more than said in answers
	passed  bool         // nothing kept the VIF from using it
	samples uint64
}

func (u *use) announced() bool { return u.reason != model.ReasonIP }

// addresses judges announcements and IP sources.
func (j *judge) addresses(open map[model.Reason][]drops.ClaimCount) {
	uses := j.uses(open)
	uses = j.noise(uses)
	uses = j.prefixes(uses)
	uses = j.router(uses)
	var missing []*use
	for _, u := range uses {
		if !j.contested(u) {
			missing = append(missing, u)
		}
	}
	j.missing(missing)
}

// uses sums claims up by address.
func (j *judge) uses(open map[model.Reason][]drops.ClaimCount) []*use {
	var all []*use
	for _, reason := range []model.Reason{model.ReasonARP, model.ReasonND, model.ReasonIP} {
		for _, s := range open[reason] {
			for _, a := range claimed(reason, &s.Claim) {
				if bound(&j.Policy, speakers(reason, &s.Claim), a, reason == model.ReasonIP) {
					continue
				}
				mac := speaker(reason, &s.Claim)
				i := slices.IndexFunc(all, func(u *use) bool { return u.addr == a && u.mac == mac })
				if i < 0 {
					i = len(all)
					all = append(all, &use{addr: a, mac: mac, reason: reason})
				}
				u := all[i]
				u.samples += s.Samples
				u.used = u.used || reason == model.ReasonIP
				u.passed = u.passed || s.Passed
				u.asked = u.asked || s.Claim.Kind != "ARP reply" && s.Claim.Kind != "NA"
			}
		}
	}
	return all
}

// metadataService is where clouds tell guests who they are.
var metadataService = netip.AddrFrom4([4]byte{169, 254, 169, 254})

const posing = "where clouds serve metadata: a guest that has it can pose as that service."

// noise reports whether an address means nothing to other stations: link-local IPv4
// (RFC 3927), "this network" and loopback (RFC 6890), and what can't be a source.
func noise(a netip.Addr) bool {
	if a.Is4() && a != metadataService && a.IsLinkLocalUnicast() {
		return true
	}
	return a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Is4() && (a.As4()[0] == 0 || a.As4() == [4]byte{255, 255, 255, 255})
}

// noise says what may be dropped, and returns the rest.
func (j *judge) noise(uses []*use) []*use {
	quiet := Finding{
		Verdict: Harmless, Why: "Link-local IPv4 (a guest that got no DHCP lease), unspecified, loopback or group addresses: nobody answers them.",
	}
	rest := uses[:0]
	for _, u := range uses {
		if !noise(u.addr) {
			rest = append(rest, u)
			continue
		}
		quiet.Reason = u.reason.String()
		quiet.Samples += u.samples
		quiet.About = append(quiet.About, u.addr.String())
	}
	if len(quiet.About) > 0 {
		quiet.What = "used " + list(quiet.About)
		j.add(quiet)
	}
	return rest
}

// prefixes proposes a prefix for many IPv6 addresses of one /64, as privacy extensions
// make them (RFC 8981), and returns the other uses.
func (j *judge) prefixes(uses []*use) []*use {
	count := make(map[netip.Prefix][]*use)
	var order []netip.Prefix
	for _, u := range uses {
		p := netip.PrefixFrom(u.addr, 64).Masked()
		if u.addr.Is4() || u.addr.IsLinkLocalUnicast() || u.mac != j.Policy.MAC || j.overlaps(p) {
			continue
		}
		if count[p] == nil {
			order = append(order, p)
		}
		count[p] = append(count[p], u)
	}
	for _, p := range order {
		group := count[p]
		if len(group) <= few {
			continue
		}
		uses = slices.DeleteFunc(slices.Clone(uses), func(u *use) bool { return slices.Contains(group, u) })
		j.add(Finding{
			Verdict: Decide, Reason: group[0].reason.String(), Samples: total(group), About: addrs(group),
			What: fmt.Sprintf("used %d addresses of %s", len(group), p),
			Why:  "As guests do that change their addresses (RFC 8981). No other VIF of this host has an address there. If the network, or at least the prefix, is this VIF's alone, the prefix covers them; other machines in it could then be impersonated.",
			set:  j.merged(model.KeyAddresses, p.String()),
		})
	}
	return uses
}

// overlaps reports whether another VIF has addresses in a prefix.
func (j *judge) overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(j.host.vifs, func(o VIF) bool {
		return o.Row.UUID != j.Row.UUID && slices.ContainsFunc(o.Policy.Bindings, func(b model.Binding) bool {
			return !b.IPOnly() && b.Prefix.Overlaps(p)
		})
	})
}

// router judges a VIF that uses many IP sources, and returns the other uses.
func (j *judge) router(uses []*use) []*use {
	var sources, others []*use
	for _, u := range uses {
		if u.announced() {
			others = append(others, u)
		} else {
			sources = append(sources, u)
		}
	}
	if len(sources) <= few {
		return uses
	}
	f := Finding{
		Verdict: Decide, Reason: model.ReasonIP.String(), Samples: total(sources), About: addrs(sources),
		What: fmt.Sprintf("used %d IP sources, %s", len(sources), list(addrs(sources))),
		Why:  "Its ARP and ND are clean, so it looks like a router, firewall or NAT VM. ",
		set:  map[string]string{model.KeyChecks: model.CheckMACARP.String()},
	}
	if len(others) > 0 {
		f.Verdict, f.set = Suspicious, nil
		f.Why = "It also announces addresses that aren't its own. Settle that first; a router, firewall or NAT VM then gets --checks mac,arp. "
	}
	if f.Samples < 2*uint64(len(sources)) {
		f.Why += "But most of them were seen once only, as in a flood with made-up sources (a DDoS attack by this guest). "
	}
	for _, u := range sources {
		if h := j.holder(u.addr); h != nil {
			f.Why += fmt.Sprintf("One of them, %s, is that of %s. ", u.addr, j.name(h.vif))
			break
		}
	}
	f.Why = strings.TrimSpace(f.Why)
	j.add(f)
	return others
}

// holder is another VIF that may use an address.
type holder struct {
	vif  *VIF
	pair bool // all that have it have it as a pair
	via  netip.Prefix
}

// holder returns who else may use an address: an owner if there is one. A prefix of
// length 0 makes no owner.
func (j *judge) holder(a netip.Addr) *holder {
	var found *holder
	for i := range j.host.vifs {
		o := &j.host.vifs[i]
		if o.Row.UUID == j.Row.UUID {
			continue
		}
		for _, b := range o.Policy.Bindings {
			if b.IPOnly() || !b.Prefix.Contains(a) {
				continue
			}
			h := &holder{vif: o, pair: b.Origin == model.KeyPairs, via: b.Prefix}
			if found == nil || found.pair && !h.pair {
				found = h
			}
		}
	}
	return found
}

// contested judges an address that isn't simply missing.
func (j *judge) contested(u *use) bool {
	f := Finding{Reason: u.reason.String(), Samples: u.samples, About: []string{u.addr.String()}, What: did(u) + " " + u.addr.String()}
	pair := u.addr.String()
	if u.mac != j.Policy.MAC {
		pair += "@" + u.mac.String()
	}
	h, rivals := j.holder(u.addr), j.others(j.host.claimants[u.addr])
	switch {
	case u.addr == metadataService:
		f.Verdict, f.Why = Suspicious, "It is "+posing
	case h != nil && !h.pair:
		f.Verdict, f.Why = Suspicious, "It is owned by "+j.name(h.vif)
		if !h.via.IsSingleIP() {
			f.Why += " through " + h.via.String()
		}
		f.Why += "."
		if !u.announced() {
			f.Why += " Only a router between them sends that; such a VIF gets --checks mac,arp."
		}
	case h != nil:
		f.Verdict, f.set = Decide, j.merged(model.KeyPairs, pair)
		f.Why = fmt.Sprintf("%s has it as a pair. A failover address of both? If so, this VIF needs the same pair:", j.name(h.vif))
	case rivals != nil:
		f.Verdict, f.set = Decide, j.merged(model.KeyPairs, pair)
		f.Why = fmt.Sprintf("Nobody owns it, and %s claims it too. A failover address of both? If so, both need it as a pair; if not, one of them lies:", j.name(rivals[0]))
	case u.mac != j.Policy.MAC:
		f.Verdict, f.set = Decide, j.merged(model.KeyPairs, pair)
		f.What += " with the MAC " + u.mac.String()
		f.Why = "The VIF may use that MAC, but not with this address. If it belongs to it:"
	default:
		return false
	}
	j.add(f)
	return true
}

// missing judges addresses that nobody of this host has, sent from the VIF's own MAC.
func (j *judge) missing(uses []*use) {
	var plain, gateway, answers []*use
	for _, u := range uses {
		switch {
		case likeGateway(u.addr):
			gateway = append(gateway, u)
		case u.announced() && !u.used && !u.asked && u.passed && j.Policy.Checks.IP():
			answers = append(answers, u)
		default:
			plain = append(plain, u)
		}
	}
	j.missingAs(Allow, plain, "From its own MAC, and no other VIF of this host has it: it looks like an address that the metadata lacks. If the VM was given it:")
	j.missingAs(Decide, gateway, "No VIF of this host has it, but networks often give such an address to their gateway, and whoever announces that takes over its traffic. Only if it is this VM's:")
	j.missingAs(Decide, answers, "It answered for it, but was never seen to send from it, as in ARP or ND spoofing. If the address isn't that of another machine:")
}

func (j *judge) missingAs(v Verdict, uses []*use, why string) {
	if len(uses) == 0 {
		return
	}
	words := addrs(uses)
	f := Finding{
		Verdict: v, Reason: uses[0].reason.String(), Samples: total(uses), About: words, Why: why,
		What: did(uses[0]) + " " + list(words), set: j.merged(model.KeyAddresses, words...),
	}
	j.add(f)
}

// likeGateway reports whether networks like to give such an address to a router: the
// first or the last of an IPv4 /24, a small number at the end of an IPv6 prefix.
func likeGateway(a netip.Addr) bool {
	if a.Is4() {
		last := a.As4()[3]
		return last == 1 || last == 254
	}
	b := a.As16()
	return b[15] == 1 && [7]byte(b[8:15]) == [7]byte{}
}

func did(u *use) string {
	switch {
	case u.announced() && u.used:
		return "announced and used"
	case u.announced():
		return "announced"
	}
	return "used the IP source"
}

func total(uses []*use) (n uint64) {
	for _, u := range uses {
		n += u.samples
	}
	return n
}

func addrs(uses []*use) []string {
	var words []string
	for _, u := range uses {
		if w := u.addr.String(); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
}
