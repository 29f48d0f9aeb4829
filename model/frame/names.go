package frame

import (
	"fmt"

	"github.com/vifguard/vifguard/model"
)

// sapSTP is the service of spanning tree (IEEE 802.1D).
const sapSTP = 0x42

// etherTypes are names of payloads; those that this package reads have them for
// the case that they can't be read.
var etherTypes = map[uint16]string{
	model.EtherTypeARP:  "ARP",
	model.EtherTypeRARP: "RARP",
	model.EtherTypeIPv4: "IPv4",
	model.EtherTypeIPv6: "IPv6",
	0x8809:              "slow protocols, LACP",
	0x8847:              "MPLS",
	0x8863:              "PPPoE discovery",
	0x8864:              "PPPoE session",
	0x888e:              "802.1X",
	0x88cc:              "LLDP",
	0x88e5:              "MACsec",
	0x9100:              "a VLAN tag for some switches",
}

var protocols = map[uint8]string{
	protoICMPv4: "ICMP",
	2:           "IGMP",
	4:           "IPv4 in IP",
	protoTCP:    "TCP",
	protoUDP:    "UDP",
	41:          "IPv6 in IP",
	47:          "GRE",
	50:          "ESP",
	protoAH:     "AH",
	protoICMPv6: "ICMPv6",
	59:          "no payload",
	89:          "OSPF",
	protoVRRP:   "VRRP",
	132:         "SCTP",
}

var icmpv4Types = map[uint8]string{
	0:  "echo reply",
	3:  "unreachable",
	5:  "redirect",
	8:  "echo request",
	9:  "router advertisement",
	10: "router solicitation",
	11: "time exceeded",
}

var icmpv6Types = map[uint8]string{
	1:   "unreachable",
	2:   "packet too big",
	3:   "time exceeded",
	4:   "parameter problem",
	128: "echo request",
	129: "echo reply",
	130: "MLD query",
	131: "MLDv1 report",
	132: "MLDv1 done",
	143: "MLDv2 report",
}

// dhcpv4Types are those of RFC 2132 section 9.6.
var dhcpv4Types = []string{"BOOTP", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}

// dhcpv6Types are those of RFC 8415 section 7.3.
var dhcpv6Types = []string{"type 0", "SOLICIT", "ADVERTISE", "REQUEST", "CONFIRM", "RENEW", "REBIND", "REPLY",
	"RELEASE", "DECLINE", "RECONFIGURE", "INFORMATION-REQUEST", "RELAY-FORW", "RELAY-REPL"}

func (d *DHCP) name() string {
	name, types := "DHCP", dhcpv4Types
	if d.Version == 6 {
		name, types = "DHCPv6", dhcpv6Types
	}
	if int(d.Type) < len(types) {
		return name + " " + types[d.Type]
	}
	return fmt.Sprintf("%s type %d", name, d.Type)
}

// protocolName is what an IP packet holds, with the type of ICMP.
func (f *Frame) protocolName() string {
	switch {
	case f.ICMPv4 != nil:
		return "ICMP " + f.ICMPv4.name(icmpv4Types)
	case f.ICMPv6 != nil:
		return "ICMPv6 " + f.ICMPv6.name(icmpv6Types)
	}
	proto := f.IP.Protocol
	if name, ok := extensions[proto]; ok && f.IP.Version == 6 {
		if f.IP.Fragment == Later {
			return name
		}
		return "cut short"
	}
	if name, ok := protocols[proto]; ok {
		return name
	}
	return fmt.Sprintf("protocol %d", proto)
}

func (m *ICMP) name(types map[uint8]string) string {
	if name, ok := types[m.Type]; ok {
		return name
	}
	return fmt.Sprintf("type %d code %d", m.Type, m.Code)
}
