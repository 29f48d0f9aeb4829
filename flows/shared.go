package flows

import (
	"net/netip"

	"github.com/vifguard/vifguard/model"
)

// Well-known addresses.
var (
	unspecified4 = Host(netip.AddrFrom4([4]byte{}))
	broadcast4   = Host(netip.AddrFrom4([4]byte{255, 255, 255, 255}))
	unspecified6 = Host(netip.IPv6Unspecified())
	allRouters   = Host(netip.IPv6LinkLocalAllRouters())         // ff02::2
	linkScope    = netip.MustParsePrefix("ff02::/16")            // link-local multicast
	igmpGroup    = Host(netip.AddrFrom4([4]byte{224, 0, 0, 22})) // RFC 3376 section 4.2.14
	vrrpGroup4   = Host(netip.AddrFrom4([4]byte{224, 0, 0, 18})) // RFC 9568 section 5.1.1.2
	vrrpGroup6   = Host(netip.MustParseAddr("ff02::12"))         // RFC 9568 section 5.1.2.2
	anySource    = netip.Prefix{}                                // no condition
	noMAC        = model.MAC{}                                   // an absent link-layer option
)

// UDP ports of DHCPv4 (RFC 2131 section 4.1) and DHCPv6 (RFC 8415 section 7.2).
const (
	dhcp4Server = 67
	dhcp4Client = 68
	dhcp6Client = 546
	dhcp6Server = 547
)

// Shared returns the rules that every guarded bridge has, whatever its VIFs.
func Shared() []Rule {
	var rs ruleList
	sharedPort(&rs)
	sharedMAC(&rs)
	sharedARP(&rs)
	sharedND(&rs)
	sharedIP(&rs)
	sharedEnd(&rs)
	return rs.rules
}

func sharedPort(rs *ruleList) {
	rs.stage = StagePort
	rs.add(prioMiss, Match{}, load(uint32(model.ReasonUnknownPort)<<blameShift, StageDrop), "a port that isn't programmed yet sends nothing")
}

func sharedMAC(rs *ruleList) {
	rs.stage = StageMAC
	rs.add(prioGuard, Match{VLAN: Tagged, Flags: FlagMatch{Clear: FlagTagOK}}, blame(model.ReasonVLAN), "VLAN-tagged frames are refused unless lifted")
	rs.add(prioGuard, Match{Payload: OfType(model.EtherTypeVLAN)}, blame(model.ReasonVLAN), "a second tag hides its payload from the switch")
	rs.add(prioGuard, Match{Payload: OfType(model.EtherTypeQinQ)}, blame(model.ReasonVLAN), "a second tag hides its payload from the switch")
	rs.add(prioGuard, Match{Payload: OfType(0)}, blame(model.ReasonVLAN), "an incomplete tag, which the switch shows as ethertype 0")
	rs.add(prioMiss, Match{}, goTo(StageDrop), "foreign Ethernet source")
}

func sharedARP(rs *ruleList) {
	rs.stage = StageARP
	checked, macOnly := FlagMatch{Set: FlagARP}, FlagMatch{Clear: FlagARP}
	for _, plain := range []Payload{IPv4{}, IPv6{Inner: Proto(protoTCP)}, IPv6{Inner: Proto(protoUDP)}} {
		rs.add(prioPlain, Match{Payload: plain, Flags: checked}, blameIn(model.ReasonIP, StageIP), "goes to the source check")
		rs.add(prioPlain, Match{Payload: plain, Flags: macOnly}, goTo(StageExit), "only MACs are checked, and it has none inside")
	}
	rs.add(prioPlain+1, Match{Payload: IPv4{Inner: hiddenProto}, Flags: checked}, blame(model.ReasonMalformed), "IPv4 of protocol 0, which is also what the switch shows for what it can't read")
	rs.add(prioBlame-1, Match{Payload: ARPPacket{}}, goTo(StageDrop), "foreign sender hardware address")
	rs.add(prioBlame-1, Match{Payload: RARPPacket{}}, goTo(StageDrop), "RARP other than a VIF's own announcement")

	// Only the messages that the ND stage judges go there, so that its fields enter no
	// other packet's megaflow.
	for _, t := range []ICMPv6{NeighborSolicitation, NeighborAdvertisement} {
		rs.add(prioClass+1, Match{Payload: IPv6{Inner: t}}, goTo(StageND), "neighbour discovery goes to the ND stage")
	}
	// What the switch can't read may be anything, and some receivers can read it.
	for _, hidden := range []IPv6{{Inner: hiddenProto}, {Inner: hiddenType}, {Fragment: FirstFragment, Inner: Proto(protoNoNext)}} {
		rs.add(prioClass+1, Match{Payload: hidden, Flags: checked}, blame(model.ReasonMalformed), "may be anything behind headers that the switch can't read (RFC 7112, 7113)")
		rs.add(prioClass+1, Match{Payload: hidden, Flags: macOnly}, goTo(StageDrop), "may hide sender MACs behind headers that the switch can't read (RFC 7112, 7113)")
	}
	for _, t := range []ICMPv6{MLDv1Report, RouterSolicitation, RouterAdvertisement, Redirect, MLDv2Report} {
		rs.add(prioClass+1, Match{Payload: IPv6{Inner: t}, Flags: checked}, goTo(StageND), "messages of routers and listeners go to the ND stage")
	}
	rs.add(prioClass, Match{Payload: IPv6{}, Flags: checked}, blameIn(model.ReasonIP, StageIP), "IPv6 goes to the source check")
	rs.add(prioRest, Match{Flags: checked}, blame(model.ReasonEtherType), "other protocols are refused unless lifted")
	rs.add(prioRest, Match{Flags: macOnly}, goTo(StageExit), "only MACs are checked")
	rs.add(prioMiss, Match{}, goTo(StageDrop), "closed by default")
}

// What Open vSwitch shows of packets that it can't read to their end: protocol 0 for a
// broken IPv4 header, and in IPv6 for broken or cut extension headers, which no packet has
// that it can read, as it skips hop-by-hop options; and ICMPv6 type 0, which is reserved,
// for a packet or first fragment that ends before the ICMPv6 header. The kernel's datapath
// shows a first fragment with such headers as one without a next header, which nobody sends.
const (
	hiddenProto Proto  = 0
	hiddenType  ICMPv6 = 0
)

// A packet meets the ND stage up to twice: solicitations and advertisements first with
// the sender MACs in their options, blamed mac, and, once these are good, again with
// FlagND, to ask for their length. With FlagARP they are blamed nd by then, for what they
// claim.
var (
	firstPass  = FlagMatch{Clear: FlagND}
	secondPass = FlagMatch{Set: FlagND}
	vrrpTwin   = FlagMatch{Set: FlagND | FlagVRRP} // from the own MAC, with a virtual one inside
)

// The longest frames that carry a solicitation or advertisement without an option, and
// one with a link-layer address or a nonce (RFC 4861 section 4.6, RFC 7527): Ethernet,
// IPv6 and the message itself, then an option, and up to 7 bytes, which are too few for
// an option and enough for a VLAN tag. The switch reads a message to the end that its IPv6
// header gives, and the kernel's datapath to the end of the frame: what is in between
// could be an option that nobody has judged.
const (
	longestBare   = 14 + 40 + 24 + 7
	longestOption = longestBare + 8
)

// measured sends a solicitation or advertisement through the ND stage again, which then
// knows whether it is longer than what was seen of it.
func measured(longest uint16) Actions {
	return Actions{Longer: longest, Set: FlagND, Next: Again, Stage: StageND}
}

// toClaims is measured for one whose claims are to be judged next.
func toClaims(longest uint16) Actions {
	a := measured(longest)
	a.Blame = model.ReasonND
	return a
}

// singly makes actions those for packets that are judged one by one. Duplicate address
// detection is rare, and with a nonce as long as with a link-layer option, which the
// kernel's datapath would find behind the packet's end.
func singly(a Actions) Actions {
	a.Singly = true
	return a
}

// refuse drops what was measured, for the reason it is blamed for.
func refuse() Actions { return Actions{Afresh: true, Next: Goto, Stage: StageDrop} }

func sharedND(rs *ruleList) {
	rs.stage = StageND
	sharedSenderMACs(rs)
	sharedLengths(rs)
	rs.add(prioBlame, Match{Payload: Solicitation(unspecified6, NS{}), Flags: secondPass}, refuse(), "duplicate address detection for an address that isn't the VIF's, or with an option")
	rs.add(prioRefuse, Match{Payload: Solicitation(unspecified6, NS{}), Flags: vrrpTwin}, refuse(), "duplicate address detection with an option, whatever prefixes the VIF owns")
	rs.add(prioBlame-1, Match{Payload: Solicitation(anySource, NS{}), Flags: vrrpTwin}, refuse(), "solicitation with a virtual MAC that doesn't have the source")
	rs.add(prioClass, Match{Payload: Solicitation(anySource, NS{}), Flags: secondPass}, goTo(StageIP), "the source of a solicitation goes to the source check")
	rs.add(prioClass, Match{Payload: Advertisement(NA{}), Flags: secondPass}, refuse(), "advertisement of an address that isn't the VIF's")
	for _, t := range []ICMPv6{RouterAdvertisement, Redirect} {
		rs.add(prioGuard, Match{Payload: IPv6{Inner: t}, Flags: FlagMatch{Clear: FlagRouter}}, blame(model.ReasonRouter), "router advertisements and redirects are refused unless lifted")
	}
	for _, t := range []ICMPv6{RouterSolicitation, RouterAdvertisement, Redirect} {
		rs.add(prioGuard-1, Match{Payload: IPv6{Fragment: FirstFragment, Inner: t}}, blame(model.ReasonMalformed), "fragmented neighbour discovery (RFC 6980)")
	}
	ip := FlagMatch{Set: FlagIP}
	rs.add(prioException, Match{Payload: IPv6{Src: unspecified6, Dst: allRouters, Inner: RouterSolicitation}, Flags: ip}, goTo(StageExit), "router solicitation before there is an address")
	for _, t := range []ICMPv6{MLDv1Report, MLDv2Report} {
		rs.add(prioException, Match{Payload: IPv6{Src: unspecified6, Dst: linkScope, Inner: t}, Flags: ip}, goTo(StageExit), "MLD report before there is an address")
	}
	rs.add(prioRest, Match{Payload: IPv6{}}, blameIn(model.ReasonIP, StageIP), "the source of other messages goes to the source check")
	rs.add(prioMiss, Match{}, goTo(StageDrop), "closed by default")
}

// sharedSenderMACs judges the link-layer options of solicitations and advertisements,
// as far as that needs no VIF's MAC.
func sharedSenderMACs(rs *ruleList) {
	checked, macOnly := FlagMatch{Set: FlagARP, Clear: FlagND}, FlagMatch{Clear: FlagARP | FlagND}
	none := noMAC
	for _, t := range []ICMPv6{NeighborSolicitation, NeighborAdvertisement} {
		frag := IPv6{Fragment: FirstFragment, Inner: t}
		rs.add(prioGuard, Match{Payload: frag, Flags: checked}, blame(model.ReasonMalformed), "fragmented neighbour discovery (RFC 6980)")
		rs.add(prioGuard, Match{Payload: frag, Flags: macOnly}, goTo(StageDrop), "a fragment hides sender MACs from the switch")
	}
	dad := Solicitation(unspecified6, NS{SLL: &none})
	rs.add(prioAllow+1, Match{Payload: dad, Flags: checked}, toClaims(longestOption), "no link-layer option; duplicate address detection may have a nonce")
	rs.add(prioAllow+1, Match{Payload: dad, Flags: macOnly}, measured(longestOption), "no link-layer option; duplicate address detection may have a nonce")
	for _, nd := range []struct {
		class                  ICMPv6
		hidden, bare, readable IPv6
	}{
		{NeighborSolicitation, Solicitation(anySource, NS{Target: unspecified6}), Solicitation(anySource, NS{SLL: &none}), Solicitation(anySource, NS{})},
		{NeighborAdvertisement, Advertisement(NA{Target: unspecified6}), Advertisement(NA{TLL: &none}), Advertisement(NA{})},
	} {
		rs.add(prioGuard, Match{Payload: nd.hidden, Flags: checked}, blame(model.ReasonMalformed), "cut off or with two link-layer options, which the switch shows as target ::")
		rs.add(prioGuard, Match{Payload: nd.hidden, Flags: macOnly}, goTo(StageDrop), "two link-layer options hide sender MACs from the switch")
		rs.add(prioAllow, Match{Payload: nd.bare, Flags: checked}, toClaims(longestBare), "no link-layer option")
		rs.add(prioAllow, Match{Payload: nd.bare, Flags: macOnly}, measured(longestBare), "no link-layer option")
		rs.add(prioBlame-1, Match{Payload: nd.readable, Flags: firstPass}, goTo(StageDrop), "foreign link-layer option")
		rs.add(prioBlame-2, Match{Payload: IPv6{Inner: nd.class}, Flags: checked}, blame(model.ReasonND), "hop limit other than 255 or code other than 0")
		rs.add(prioBlame-2, Match{Payload: IPv6{Inner: nd.class}, Flags: macOnly}, goTo(StageDrop), "hop limit other than 255 or code other than 0")
	}
}

// sharedLengths refuses solicitations and advertisements that are longer than what the
// switch has seen of them: an option of another kind, one behind the end that the IPv6
// header gives, or an extension header, which could be that of an atomic fragment.
func sharedLengths(rs *ruleList) {
	malformed := refuse()
	malformed.Blame = model.ReasonMalformed
	rs.add(prioGuard, Match{Payload: IPv6{}, Flags: FlagMatch{Set: FlagARP | FlagND | FlagLong}}, malformed, "neighbour discovery longer than the options that the switch saw")
	rs.add(prioGuard, Match{Payload: IPv6{}, Flags: FlagMatch{Set: FlagND | FlagLong, Clear: FlagARP}}, refuse(), "neighbour discovery longer than the options that the switch saw may hide sender MACs")
	macOnly, none := FlagMatch{Set: FlagND, Clear: FlagARP}, noMAC
	rs.add(prioGuard-1, Match{Payload: Solicitation(unspecified6, NS{SLL: &none}), Flags: macOnly}, singly(goTo(StageExit)), "duplicate address detection without a link-layer option")
	rs.add(prioGuard-2, Match{Payload: IPv6{}, Flags: macOnly}, goTo(StageExit), "neighbour discovery without a foreign sender MAC")
}

func sharedIP(rs *ruleList) {
	rs.stage = StageIP
	guarded := FlagMatch{Clear: FlagDHCPServer}
	for _, udp := range []UDP{{Dst: dhcp4Client}, {Src: dhcp4Server, Dst: dhcp4Server}} {
		rs.add(prioGuard, Match{Payload: IPv4{Inner: udp}, Flags: guarded}, blame(model.ReasonDHCPServer), "DHCPv4 server messages are refused unless lifted")
	}
	for _, udp := range []UDP{{Dst: dhcp6Client}, {Src: dhcp6Server, Dst: dhcp6Server}} {
		rs.add(prioGuard, Match{Payload: IPv6{Inner: udp}, Flags: guarded}, blame(model.ReasonDHCPServer), "DHCPv6 server messages are refused unless lifted")
	}
	for _, p := range []Payload{IPv4{Fragment: NotLater, Inner: HiddenUDP{}}, IPv6{Fragment: NotLater, Inner: HiddenUDP{}}} {
		rs.add(prioGuard, Match{Payload: p}, blame(model.ReasonMalformed), "UDP that ends before its ports, or has port 0 twice (RFC 1858, 7112)")
	}
	for _, t := range []ICMPv4{ICMPRedirect, ICMPRouterAdvertisement} {
		rs.add(prioGuard, Match{Payload: IPv4{Inner: t}, Flags: FlagMatch{Clear: FlagRouter}}, blame(model.ReasonRouter), "ICMP redirects and router advertisements are refused unless lifted")
	}
	rs.add(prioException, Match{Flags: FlagMatch{Clear: FlagIP | FlagND}}, goTo(StageExit), "IP sources aren't checked")

	ip := FlagMatch{Set: FlagIP}
	discover := IPv4{Src: unspecified4, Dst: broadcast4, Inner: UDP{Src: dhcp4Client, Dst: dhcp4Server}}
	rs.add(prioException, Match{Payload: discover, Flags: ip}, goTo(StageExit), "a DHCPv4 client without an address")
	report := IPv4{Src: unspecified4, Dst: igmpGroup, Inner: Proto(protoIGMP)}
	rs.add(prioException, Match{Payload: report, Flags: ip}, goTo(StageExit), "IGMPv3 report before there is an address (RFC 3376 section 4.2.13)")
	rs.add(prioRefuse, Match{Payload: IPv4{Src: unspecified4}, Flags: ip}, goTo(StageDrop), "source 0.0.0.0, which is also what the switch shows for malformed IPv4")
	rs.add(prioRefuse, Match{Payload: IPv6{Src: unspecified6}, Flags: FlagMatch{Set: FlagIP, Clear: FlagND}}, goTo(StageDrop), "source ::, whatever prefixes the VIF owns")
	rs.add(prioRefuse, Match{Payload: IPv6{Src: unspecified6}, Flags: secondPass}, refuse(), "source ::, whatever prefixes the VIF owns")
	rs.add(prioBlame, Match{Payload: IPv6{}, Flags: secondPass}, refuse(), "neighbour discovery from an address that isn't the VIF's")
	rs.add(prioMiss, Match{}, goTo(StageDrop), "foreign IP source")
}

func sharedEnd(rs *ruleList) {
	rs.stage = StageDrop
	rs.add(prioAllow, Match{Blame: model.ReasonUnknownPort}, Actions{}, "packets of ports that aren't programmed yet")
	rs.rules[len(rs.rules)-1].Counts = model.ReasonUnknownPort
	rs.add(prioMiss, Match{}, Actions{}, "closed by default")
	rs.stage = StageExit
	rs.add(prioMiss, Match{}, Actions{Next: Leave}, "accepted packets leave the pipeline")
}

// ruleList collects the rules of one owner, stage by stage.
type ruleList struct {
	rules []Rule
	stage Stage
	vif   VIFID
}

func (rs *ruleList) add(priority uint16, m Match, a Actions, why string) {
	rs.rules = append(rs.rules, Rule{Stage: rs.stage, Priority: priority, Match: m, Actions: a, VIF: rs.vif, Why: why})
}
