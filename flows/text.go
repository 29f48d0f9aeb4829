package flows

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vifguard/vifguard/model"
)

// Text writes the rule in the syntax of ovs-ofctl(8), as it would be given to
// "ovs-ofctl -O OpenFlow13 add-flow".
func (r *Rule) Text(p Pipeline) string {
	match := r.MatchText()
	if match != "" {
		match = "," + match
	}
	timeout := ""
	if r.Timeout != 0 {
		timeout = fmt.Sprintf(",hard_timeout=%d", r.Timeout)
	}
	return fmt.Sprintf("cookie=0x%x,table=%d,priority=%d%s%s actions=%s", r.Cookie(), p.Table(r.Stage), r.Priority, timeout, match, r.ActionText(p))
}

// MatchText writes the match in the syntax of ovs-ofctl(8); "" matches everything.
func (r *Rule) MatchText() string {
	var words []string
	for _, f := range r.Match.Fields() {
		words = append(words, f.String())
	}
	return strings.Join(words, ",")
}

// ActionText writes the actions in the syntax of ovs-ofctl(8).
func (r *Rule) ActionText(p Pipeline) string {
	var words []string
	for _, l := range r.Loads(p) {
		end := l.Offset + l.Bits - 1
		words = append(words, fmt.Sprintf("load:0x%x->NXM_NX_REG%d[%d..%d]", l.Value, Register, l.Offset, end))
	}
	if r.Actions.Singly {
		words = append(words, fmt.Sprintf("load:0x%x->NXM_NX_ND_SLL[0..47]", NobodysMAC))
	}
	if n := r.Actions.Longer; n != 0 {
		words = append(words, fmt.Sprintf("check_pkt_larger(%d)->NXM_NX_REG%d[%d]", n, Register, LongBit))
	}
	if r.Actions.Afresh {
		words = append(words, fmt.Sprintf("push_mpls:0x%04x,pop_mpls:0x%04x", EtherTypeMPLS, model.EtherTypeIPv6))
	}
	if r.Actions.Sample != nil {
		words = append(words, r.Actions.Sample.text())
	}
	switch a := r.Actions; {
	case a.Next == Goto:
		words = append(words, fmt.Sprintf("goto_table:%d", p.Table(a.Stage)))
	case a.Next == Again:
		words = append(words, fmt.Sprintf("resubmit(,%d)", p.Table(a.Stage)))
	case a.Next == Leave && p.Exit >= 0:
		words = append(words, fmt.Sprintf("resubmit(,%d)", p.Exit))
	case a.Next == Leave:
		words = append(words, "NORMAL")
	case a.Sample == nil:
		words = append(words, "drop")
	}
	return strings.Join(words, ",")
}

// EtherTypeMPLS is that of a label that is pushed and popped again (RFC 5332), which
// changes nothing in the packet: that a rule goes on behind a label is what makes Open
// vSwitch look up the rest of the way in a megaflow of its own (recirc_for_mpls in
// ofproto-dpif-xlate.c). There is no action for just that.
const EtherTypeMPLS = 0x8847

// NobodysMAC is written where a solicitation has no source link-layer option, so that
// ovs-vswitchd does it: the datapaths can't. There is no action for just that. An option
// of 00:00:00:00:00:00 looks like none, and is overwritten; with a group address no
// receiver learns anything from it.
const NobodysMAC = 0x01_00_00_00_00_00

// RegisterLoad writes Value into Bits bits of the register from bit Offset on.
type RegisterLoad struct {
	Offset, Bits int
	Value        uint32
}

// Loads returns what the rule writes into the register. A packet that leaves for the
// operator's own tables does so with a clean register.
func (r *Rule) Loads(p Pipeline) []RegisterLoad {
	a := &r.Actions
	var ls []RegisterLoad
	if a.Load != nil {
		ls = append(ls, RegisterLoad{0, 32, *a.Load})
	}
	if a.Blame != model.NoReason {
		ls = append(ls, RegisterLoad{blameShift, blameBits, uint32(a.Blame)})
	}
	for bit := range blameShift {
		if a.Set&(1<<bit) != 0 {
			ls = append(ls, RegisterLoad{bit, 1, 1})
		}
	}
	if a.Next == Leave && p.Exit >= 0 {
		ls = append(ls, RegisterLoad{0, 32, 0})
	}
	return ls
}

// fieldNames are the names of ovs-fields(7).
var fieldNames = [...]string{
	FieldInPort: "in_port", FieldEthSrc: "dl_src", FieldEthType: "dl_type", FieldVLAN: "vlan_vid",
	FieldIPv4Src: "nw_src", FieldIPv4Dst: "nw_dst", FieldIPv6Src: "ipv6_src", FieldIPv6Dst: "ipv6_dst",
	FieldIPFrag: "ip_frag", FieldTTL: "nw_ttl", FieldIPProto: "nw_proto",
	FieldUDPSrc: "udp_src", FieldUDPDst: "udp_dst", FieldICMPv4Type: "icmp_type", FieldICMPv6Type: "icmpv6_type", FieldICMPv6Code: "icmpv6_code",
	FieldNDTarget: "nd_target", FieldNDSLL: "nd_sll", FieldNDTLL: "nd_tll",
	FieldARPOp: "arp_op", FieldARPSPA: "arp_spa", FieldARPTPA: "arp_tpa", FieldARPSHA: "arp_sha", FieldARPTHA: "arp_tha",
	FieldRegister: "reg15",
}

// String writes the condition in the syntax of ovs-ofctl(8).
func (f Field) String() string {
	return fieldNames[f.ID] + "=" + f.value()
}

func (f Field) value() string {
	switch f.ID {
	case FieldEthSrc, FieldNDSLL, FieldNDTLL, FieldARPSHA, FieldARPTHA:
		return net.HardwareAddr(f.Value).String()
	case FieldIPv4Src, FieldIPv4Dst, FieldIPv6Src, FieldIPv6Dst, FieldNDTarget, FieldARPSPA, FieldARPTPA:
		return addressText(f)
	case FieldIPFrag:
		if f.Mask != nil {
			return "not_later"
		}
		return "first"
	case FieldEthType:
		return fmt.Sprintf("0x%04x", number(f.Value))
	case FieldVLAN, FieldRegister:
		if f.Mask != nil {
			return fmt.Sprintf("0x%x/0x%x", number(f.Value), number(f.Mask))
		}
		return fmt.Sprintf("0x%x", number(f.Value))
	default:
		return strconv.FormatUint(number(f.Value), 10)
	}
}

func addressText(f Field) string {
	a, _ := netip.AddrFromSlice(f.Value)
	if f.Mask == nil {
		return a.String()
	}
	ones, _ := net.IPMask(f.Mask).Size()
	return netip.PrefixFrom(a, ones).String()
}

func number(b []byte) uint64 {
	var buf [8]byte
	copy(buf[8-len(b):], b)
	return binary.BigEndian.Uint64(buf[:])
}
