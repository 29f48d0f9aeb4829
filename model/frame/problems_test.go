package frame

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/test/lab"
)

// with returns a frame with other bytes at an offset.
func with(frame []byte, offset int, b ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[offset:], b)
	return frame
}

// ipv4With is an IPv4 frame with other bytes at an offset of the IP header, whose
// checksum is right.
func ipv4With(offset int, b ...byte) []byte {
	const ip, sum = headerLen, headerLen + 10
	frame := with(lab.UDPFrame(macB, macA, portA4, portB4), ip+offset, b...)
	binary.BigEndian.PutUint16(frame[sum:], checksum(frame[ip:ip+max(ipv4MinLen, min(int(frame[ip]&15)*4, 28))]))
	return frame
}

// ipv6Of is an IPv6 frame with a hop limit of 255.
func ipv6Of(next uint8, payload ...[]byte) []byte {
	return fromA(lab.IPv6{Src: ip6A, Dst: ip6B, Next: next, HopLimit: 255}.Packet(payload...))
}

func arpOf(a lab.ARP) []byte {
	if a.Op == 0 {
		a.Op = lab.OpRequest
	}
	if a.SHA == (lab.MAC{}) {
		a.SHA = macA
	}
	return a.Frame(lab.Broadcast, macA)
}

var (
	zero = netip.IPv6Unspecified()
	ns   = lab.ICMPv6(ip6A, ip6B, lab.ICMPv6NS, 0, lab.NSBody(ip6B))
	ping = lab.ICMPv6(ip6A, ip6B, lab.ICMPv6EchoRequest, 0, make([]byte, 4))
)

var problemTests = []struct {
	name  string
	frame []byte
	want  []string
}{
	{"nothing", nil, []string{"Ethernet: frame of 0 bytes (want at least 14)"}},
	{"short", make([]byte, 13), []string{"Ethernet: frame of 13 bytes (want at least 14)"}},
	{"group source", lab.ARPRequest(lab.Broadcast, ip4A, ip4B), []string{
		"Ethernet: source ff:ff:ff:ff:ff:ff (want a unicast address)",
		"ARP: sender hardware address ff:ff:ff:ff:ff:ff (want a unicast address)"}},
	{"cut tag", lab.Ether(macB, macA, lab.TypeVLAN, []byte{0, 0, 8}), []string{"VLAN: frame ends inside the tag"}},
	{"reserved VID", lab.Tagged(lab.ARPRequest(macA, ip4A, ip4B), lab.VLAN{VID: 4095}), []string{"VLAN: VID 4095 (want 0 to 4094)"}},
	{"cut LLC", lab.Ether(macB, macA, 2, []byte{1, 2}), []string{"LLC: frame ends inside the header"}},
	{"long LLC", lab.Ether(macB, macA, 9, []byte{1, 2, 3}), []string{"LLC: length 9, but 3 bytes follow"}},
	{"neither type nor length", lab.Ether(macB, macA, 0x05ff, []byte{1, 2, 3}), []string{
		"Ethernet: type 0x05ff (want a length of at most 1500 or an ethertype of at least 0x0600)"}},
	{"cut SNAP", lab.LLC(macB, macA, 0xaa, 0xaa, []byte{0, 0, 0, 8}), []string{"LLC/SNAP: frame ends inside the header"}},
	{"SNAP control", lab.Ether(macB, macA, 3, []byte{0xaa, 0xaa, 0x13}), []string{"LLC/SNAP: control 0x13 (want 0x03)"}},
	{"tag in SNAP", lab.AsSNAP(lab.Tagged(lab.ARPRequest(macA, ip4A, ip4B), lab.VLAN{VID: 1}), 0), []string{
		"LLC/SNAP: VLAN tag 0x8100 inside (want tags outside)"}},
	{"SNAP in SNAP", lab.SNAP(macB, macA, 0, 8, make([]byte, 9)), []string{
		"LLC/SNAP: type 0x0008 inside (want an ethertype, at least 0x0600)"}},

	{"cut ARP header", lab.Ether(macB, macA, lab.TypeARP, make([]byte, 7)), []string{"ARP: frame ends inside the header"}},
	{"cut ARP", lab.ARPRequest(macA, ip4A, ip4B)[:41], []string{"ARP: frame ends inside the addresses"}},
	{"ARP types", arpOf(lab.ARP{HardwareType: 6, ProtocolType: 0x86dd}), []string{
		"ARP: hardware type 6 (want 1, Ethernet)", "ARP: protocol type 0x86dd (want 0x0800, IPv4)"}},
	{"ARP lengths", arpOf(lab.ARP{HardwareLength: 8, ProtocolLength: 16}), []string{
		"ARP: hardware address length 8 (want 6)", "ARP: protocol address length 16 (want 4)"}},
	{"ARP opcode", arpOf(lab.ARP{Op: 257}), []string{"ARP: opcode 257 (want 1 or 2)"}},
	{"ARP group", arpOf(lab.ARP{SPA: netip.MustParseAddr("255.255.255.255")}), []string{
		"ARP: sender protocol address 255.255.255.255 (want a unicast address)"}},
	{"RARP opcode", lab.Ether(macB, macA, lab.TypeRARP, lab.ARP{Op: 1, SHA: macA}.Bytes()), []string{"RARP: opcode 1 (want 3 or 4)"}},

	{"cut IPv4", ipv4With(0)[:33], []string{"IPv4: frame ends inside the header"}},
	{"IPv4 version", ipv4With(0, 0x65), []string{"IPv4: version 6 (want 4)"}},
	{"IPv4 header length", ipv4With(0, 0x44), []string{"IPv4: header length 16 bytes (want at least 20)"}},
	{"IPv4 header too long", ipv4With(0, 0x4f), []string{"IPv4: header length 60 bytes, but 28 bytes follow"}},
	{"IPv4 total length", ipv4With(2, 0, 19), []string{"IPv4: total length 19 (want at least that of the header, 20)"}},
	{"IPv4 total too long", ipv4With(2, 0xff, 0xff), []string{"IPv4: total length 65535, but 28 bytes follow"}},
	{"IPv4 checksum", with(ipv4With(0), 24, 0, 0), []string{"IPv4: header checksum 0x0000 (want 0xf6c6)"}},
	{"IPv4 group", ipv4With(12, 224, 0, 0, 1), []string{"IPv4: source 224.0.0.1 (want a unicast address)"}},
	{"UDP behind the end of the packet", ipv4With(2, 0, 27), []string{"UDP: packet ends inside the header"}},
	{"cut TCP", ipv4With(9, 6), []string{"TCP: frame ends inside the header"}},
	{"TCP header length", with(lab.TCPFrame(macB, macA, portA4, portB4, 0), 46, 0x40), []string{"TCP: header length 16 bytes (want at least 20)"}},
	{"TCP header too long", with(lab.TCPFrame(macB, macA, portA4, portB4, 0), 46, 0x60), []string{"TCP: header length 24 bytes, but 20 bytes follow"}},
	{"UDP length", ipv4With(24, 0, 7), []string{"UDP: length 7 (want at least 8)"}},
	{"UDP too long", ipv4With(24, 0, 9), []string{"UDP: length 9, but 8 bytes follow"}},
	{"tiny fragment", fromA(lab.IPv4{Src: ip4A, Dst: ip4B, Protocol: lab.ProtoTCP, More: true}.Packet(make([]byte, 8))), []string{
		"IPv4: first fragment without the whole TCP header (RFC 1858)"}},
	{"ICMPv6 in IPv4", ipv4With(9, 58), []string{"IPv4: protocol 58, ICMPv6 (want 1, ICMP)"}},
	{"ICMP in IPv6", ipv6Of(1), []string{"IPv6: protocol 1, ICMP of IPv4 (want 58, ICMPv6)"}},
	{"VRRP", fromA(lab.IP(ip4A, lab.VRRPGroup4, lab.ProtoVRRP, []byte{0x52, 0, 100, 1, 0, 1, 0, 0}, []byte{192, 0, 2})), []string{
		"VRRP: version 5 (want 2 or 3)", "VRRP: type 2 (want 1, advertisement)", "VRRP: virtual router 0 (want 1 to 255)",
		"VRRP: TTL 64 (want 255, RFC 9568)", "VRRP: frame ends inside the addresses"}},

	{"cut DHCP", lab.UDPFrame(macB, macA, netip.AddrPortFrom(ip4A, 68), portB4, make([]byte, 235)), []string{"DHCP: frame ends inside the header"}},
	{"DHCP operation", with(lab.DHCPv4Client(macA, 1), 42, 3), []string{"DHCP: operation 3 (want 1, request, or 2, reply)"}},
	{"DHCP without type", with(lab.DHCPv4Client(macA, 1), 282, 0, 0, 0, 255), []string{"DHCP: no message type (option 53)"}},
	{"DHCP type of two bytes", with(lab.DHCPv4Client(macA, 1), 283, 2), []string{"DHCP: message type of 2 bytes (want 1)"}},
	{"DHCP cut option", with(lab.DHCPv4Client(macA, 1), 283, 200), []string{"DHCP: frame ends inside option 53"}},
	{"cut DHCPv6", lab.UDPFrame(macB, macA, portA6, netip.AddrPortFrom(ip6B, 547)), []string{"DHCPv6: frame ends inside the header"}},

	{"cut IPv6", ipv6Of(59)[:53], []string{"IPv6: frame ends inside the header"}},
	{"IPv6 version", with(ipv6Of(59), 14, 0x40), []string{"IPv6: version 4 (want 6)"}},
	{"IPv6 length", with(ipv6Of(59), 18, 0, 9), []string{"IPv6: payload length 9, but 0 bytes follow"}},
	{"IPv6 group", fromA(lab.IP(lab.AllNodes, ip6B, 59)), []string{"IPv6: source ff02::1 (want a unicast address)"}},
	{"cut hop-by-hop options", ipv6Of(0, []byte{58, 1}, make([]byte, 10)), []string{"IPv6: frame ends inside the hop-by-hop options"}},
	{"cut by the length", with(ipv6Of(0, []byte{58, 0}, make([]byte, 6)), 18, 0, 7), []string{"IPv6: packet ends inside the hop-by-hop options"}},
	{"late hop-by-hop options", ipv6Of(60, lab.DestOpts(0), lab.HopByHop(59)), []string{
		"IPv6: hop-by-hop options behind another extension header (want them first, RFC 8200)"}},
	{"source route", ipv6Of(43, []byte{59, 0, 0, 0, 0, 0, 0, 0}), []string{"IPv6: routing header of type 0 (forbidden, RFC 5095)"}},
	{"two fragment headers", ipv6Of(44, lab.FragmentHeader(44, 0, true, 1), lab.FragmentHeader(58, 0, false, 1), ping), []string{"IPv6: two fragment headers"}},
	{"first fragment without header", ipv6Of(44, lab.FragmentHeader(58, 0, true, 1)), []string{
		"IPv6: first fragment without the whole ICMPv6 header (RFC 7112)"}},

	{"ND fragment", ipv6Of(44, lab.FragmentHeader(58, 0, true, 1), ns), []string{"IPv6: fragmented neighbour discovery (RFC 6980)"}},
	{"ND atomic fragment", ipv6Of(44, lab.FragmentHeader(58, 0, false, 1), ns), []string{"IPv6: fragmented neighbour discovery (RFC 6980)"}},
	{"ND hop limit and code", fromA(lab.IP(ip6A, ip6B, 58, lab.ICMPv6(ip6A, ip6B, lab.ICMPv6NS, 1, lab.NSBody(ip6B)))), []string{
		"NS: hop limit 64 (want 255, RFC 4861)", "NS: code 1 (want 0)"}},
	{"cut NS", ipv6Of(58, ns[:23]), []string{"NS: frame ends inside the message"}},
	{"two options", fromA(lab.NS(ip6A, ip6B, ip6B, lab.SourceLL(macA), lab.SourceLL(macB))), []string{"NS: two source link-layer options"}},
	{"three options", fromA(lab.NA(ip6A, ip6B, 0, ip6A, slices.Repeat(lab.TargetLL(macA), 3))), []string{"NA: 3 target link-layer options"}},
	{"long option", fromA(lab.NS(ip6A, ip6B, ip6B, lab.NDOption(1, make([]byte, 14)))), []string{
		"NS: source link-layer option with 14 bytes (want 6, Ethernet)"}},
	{"zero address", fromA(lab.NA(ip6A, ip6B, 0, ip6A, lab.TargetLL(lab.MAC{}))), []string{
		"NA: target link-layer option 00:00:00:00:00:00 (want a unicast address)"}},
	{"option of length 0", fromA(lab.NS(ip6A, ip6B, ip6B, []byte{1, 0, 0, 0})), []string{"NS: option 1 of length 0 (want at least 1, RFC 4861)"}},
	{"cut option", fromA(lab.NS(ip6A, ip6B, ip6B, []byte{1, 1, 0, 0})), []string{"NS: frame ends inside option 1"}},
	{"cut option header", fromA(lab.NS(ip6A, ip6B, ip6B, []byte{1})), []string{"NS: frame ends inside the options"}},
	{"DAD with option", fromA(lab.DAD(ip6A, lab.SourceLL(macA))), []string{"NS: source link-layer option of a message from :: (want none, RFC 4861)"}},
	{"DAD to a host", fromA(lab.NS(zero, ip6B, ip6A)), []string{"NS: sent from :: to 2001:db8::b (want a solicited-node group, RFC 4861)"}},
	{"NA from nobody", fromA(lab.NA(zero, ip6B, 0, ip6A)), []string{"NA: source :: (want a unicast address)"}},
	{"group target", fromA(lab.NA(ip6A, ip6B, 0, lab.AllNodes)), []string{"NA: target ff02::1 (want a unicast address)"}},
	{"solicited to a group", fromA(lab.NA(ip6A, lab.AllNodes, lab.FlagSolicited, ip6A)), []string{"NA: solicited, but sent to the group ff02::1"}},
	{"RA of a host", fromA(lab.RA(ip6A)), []string{"RA: source 2001:db8::a (want a link-local address, RFC 4861)"}},
	{"redirect", fromA(lab.Redirect(llA, ip6B, ip6B, lab.AllNodes)), []string{
		"redirect: destination ff02::1 (want a unicast address)",
		"redirect: target 2001:db8::b (want a link-local address or the destination, RFC 4861)"}},
}

func TestProblems(t *testing.T) {
	for _, test := range problemTests {
		t.Run(test.name, func(t *testing.T) {
			f := Parse(test.frame)
			checkFrame(t, &f)
			if diff := cmp.Diff(test.want, f.Problems); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestProblemsAreLimited(t *testing.T) {
	var options []byte
	for size := range 100 {
		options = append(options, lab.NDOption(1, make([]byte, 8*size+14))...)
	}
	if got := len(Parse(fromA(lab.NS(ip6A, ip6B, ip6B, options))).Problems); got != maxProblems {
		t.Errorf("%d problems", got)
	}
}
