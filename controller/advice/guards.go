package advice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

// guards judges servers, routers and protocols that ordinary guests aren't, and packets
// that nobody should send.
func (j *judge) guards(open map[model.Reason][]drops.ClaimCount) {
	if seen := open[model.ReasonDHCPServer]; len(seen) > 0 {
		j.add(Finding{
			Verdict: Decide, Reason: model.ReasonDHCPServer.String(), Samples: samples(seen), What: "runs a DHCP server: " + list(kinds(seen)),
			Why: "It could give other guests a gateway of its choice. If it should serve them:",
			set: j.merged(model.KeyAllow, "dhcp-server"),
		})
	}
	if seen := open[model.ReasonRouter]; len(seen) > 0 {
		j.add(Finding{
			Verdict: Decide, Reason: model.ReasonRouter.String(), Samples: samples(seen), What: "sends router advertisements or redirects: " + list(kinds(seen)),
			Why: "Other guests could take it for their gateway. If it should be that:",
			set: j.merged(model.KeyAllow, "router"),
		})
	}
	if seen := open[model.ReasonMalformed]; len(seen) > 0 {
		j.add(Finding{
			Verdict: Suspicious, Reason: model.ReasonMalformed.String(), Samples: samples(seen), What: "sent packets that the switch can't read to their end: " + list(kinds(seen)),
			Why: "That is how guests hide from filters what their receivers would read, and no guard lifts it. By accident only a broken network stack does it.",
		})
	}
	types := make(map[frame.EtherType][]drops.ClaimCount)
	var order []frame.EtherType
	for _, s := range open[model.ReasonEtherType] {
		if types[s.Claim.EtherType] == nil {
			order = append(order, s.Claim.EtherType)
		}
		types[s.Claim.EtherType] = append(types[s.Claim.EtherType], s)
	}
	for _, t := range order {
		j.protocol(t, types[t])
	}
}

// harmless are protocols by which stations look for neighbours or managers that the
// host's bridge isn't, by the IEEE's list of ethertypes.
var harmless = [...]struct {
	t    frame.EtherType
	name string
}{
	{0x88cc, "LLDP"}, {0x88d9, "LLTD"}, {0x8809, "LACP or another slow protocol"}, {0x888e, "EAPOL"},
	{0x9000, "loopback test"}, {0x0842, "Wake-on-LAN"}, {0x8899, "Realtek's loop detection"},
	{0x893a, "IEEE 1905"}, {0x88e1, "HomePlug"}, {0x8912, "HomePlug"}, {0x890d, "IEEE 802.11 control"},
	{0x8902, "CFM"}, {0x88f5, "MVRP"}, {0x88f6, "MMRP"}, {0x2000, "CDP"},
}

// purposeful are protocols that somebody has set up.
var purposeful = [...]struct {
	t    frame.EtherType
	name string
}{
	{0x8863, "PPPoE discovery"}, {0x8864, "PPPoE"}, {0x8847, "MPLS"}, {0x8848, "MPLS multicast"},
	{0x88e5, "MACsec"}, {0x88f7, "PTP"}, {0x8906, "FCoE"}, {0x8914, "FIP of FCoE"}, {0x88a2, "ATA over Ethernet"},
	{0x8915, "RoCE"}, {0x8892, "PROFINET"}, {0x88a4, "EtherCAT"}, {0x88b8, "GOOSE"}, {0x4305, "B.A.T.M.A.N."}, {0x22f3, "TRILL"},
}

func (j *judge) protocol(t frame.EtherType, seen []drops.ClaimCount) {
	f := Finding{Verdict: Decide, Reason: model.ReasonEtherType.String(), Samples: samples(seen), About: []string{t.String()}}
	if t < 0x0600 { // IEEE 802.3: no ethertype, so nothing that could be allowed
		f.Verdict = Harmless
		f.What = "sent LLC frames, such as spanning tree or NetBIOS"
		f.Why = "No guest should take part in the host's spanning tree. One that bridges on purpose gets --checks mac."
		j.add(f)
		return
	}
	switch t {
	case model.EtherTypeIPv4, model.EtherTypeARP, model.EtherTypeRARP, model.EtherTypeIPv6, model.EtherTypeVLAN, model.EtherTypeQinQ:
		f.Verdict, f.What = Suspicious, "sent frames that aren't what their ethertype "+t.String()+" says"
		f.Why = "They are malformed, and no guard lifts that."
		j.add(f)
		return
	}
	name := ""
	for _, h := range harmless {
		if h.t == t {
			f.Verdict, name = Harmless, h.name
		}
	}
	for _, p := range purposeful {
		if p.t == t {
			name = p.name
		}
	}
	word := "ethertype:" + t.String()
	f.What = "sent ethertype " + t.String()
	if name != "" {
		f.What += ", " + name
	}
	if f.Verdict == Harmless {
		f.Why = "Systems send it by themselves, and do without an answer. One that needs it gets --allow " + j.merged(model.KeyAllow, word)[model.KeyAllow] + "."
	} else {
		f.Why = "The switch can't look into it, so it passes with any addresses. If the VM should use it:"
		f.set = j.merged(model.KeyAllow, word)
	}
	j.add(f)
}

// vlans judges tags.
func (j *judge) vlans(seen []drops.ClaimCount) {
	byTag := make(map[string][]drops.ClaimCount) // "priority", "trunk" and "stack"
	var ids []string
	for _, s := range seen {
		switch tags := s.Claim.VLANs; {
		case tags == "0":
			byTag["priority"] = append(byTag["priority"], s)
		case strings.Contains(tags, ",") || tags == "":
			byTag["stack"] = append(byTag["stack"], s)
		default:
			byTag["trunk"] = append(byTag["trunk"], s)
			if !slices.Contains(ids, tags) {
				ids = append(ids, tags)
			}
		}
	}
	if seen := byTag["stack"]; len(seen) > 0 {
		j.add(Finding{
			Verdict: Suspicious, Reason: model.ReasonVLAN.String(), Samples: samples(seen), What: "sent several VLAN tags in one frame, or one that can't be read",
			Why: "That is how guests hop between VLANs, and no guard lifts it. A VIF that provides QinQ on purpose gets --checks off.",
		})
	}
	if seen := byTag["trunk"]; len(seen) > 0 {
		j.add(Finding{
			Verdict: Decide, Reason: model.ReasonVLAN.String(), Samples: samples(seen), About: ids, What: "sent frames of VLAN " + list(ids),
			Why: "If its port is meant to be a trunk (the bridge's tag and trunks still decide which VLANs; behind the tag it is checked as usual):",
			set: j.merged(model.KeyAllow, "vlan-trunk"),
		})
	}
	if seen := byTag["priority"]; len(seen) > 0 {
		j.add(Finding{
			Verdict: Allow, Reason: model.ReasonVLAN.String(), Samples: samples(seen), About: []string{"0"}, What: "sent frames with a priority tag (VLAN 0)",
			Why: "Some systems do for quality of service. Behind the tag they are checked as usual:",
			set: j.merged(model.KeyAllow, "priority-tag"),
		})
	}
}

// kinds are the words for what was sent, and by whom.
func kinds(seen []drops.ClaimCount) []string {
	var words []string
	for _, s := range seen {
		w := fmt.Sprintf("%s from %s", s.Claim.Kind, s.Claim.Source)
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
}
