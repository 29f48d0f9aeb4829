package flows

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// FieldID names a field of a match. The order of the constants is the order in which
// Open vSwitch writes fields, so that a rule that we encode comes back byte for byte
// in a flow dump.
type FieldID uint8

// The fields.
const (
	FieldInPort FieldID = iota
	FieldEthSrc
	FieldEthType
	FieldVLAN
	FieldIPv4Src
	FieldIPv4Dst
	FieldIPv6Src
	FieldIPv6Dst
	FieldIPFrag
	FieldTTL
	FieldIPProto
	FieldUDPSrc
	FieldUDPDst
	FieldICMPv4Type
	FieldICMPv6Type
	FieldICMPv6Code
	FieldNDTarget
	FieldNDSLL
	FieldNDTLL
	FieldARPOp
	FieldARPSPA
	FieldARPTPA
	FieldARPSHA
	FieldARPTHA
	FieldRegister
)

// Field is one condition of a match: the packet's field, masked, equals Value. A nil
// mask means all bits. Value has no bits outside the mask.
type Field struct {
	ID    FieldID
	Value []byte
	Mask  []byte
}

// IP protocol numbers.
const (
	protoICMPv4 = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoNoNext = 59
	protoVRRP   = 112
)

// Fields returns the match as a list of conditions in the switch's order, with every
// prerequisite.
func (m *Match) Fields() []Field { return m.AppendFields(nil) }

// AppendFields appends what Fields returns to a list.
func (m *Match) AppendFields(list []Field) []Field {
	fs := fieldList(list)
	if m.InPort != 0 {
		fs.add32(FieldInPort, m.InPort)
	}
	fs.addMAC(FieldEthSrc, m.EthSrc)
	afterType := len(fs)
	if m.Payload != nil {
		m.Payload.fields(&fs)
		afterType++ // the first field is the ethertype, which comes before the VLAN
	}
	switch m.VLAN {
	case AnyVLAN:
	case Tagged:
		fs = slices.Insert(fs, afterType, Field{ID: FieldVLAN, Value: be16(vlanPresent), Mask: be16(vlanPresent)})
	case PriorityTagged:
		fs = slices.Insert(fs, afterType, Field{ID: FieldVLAN, Value: be16(vlanPresent)})
	}
	if v, mask := m.register(); mask != 0 {
		fs.masked(FieldRegister, be32(v), be32(mask))
	}
	return fs
}

// vlanPresent is the bit of OXM_OF_VLAN_VID that says that there is a tag
// (OFPVID_PRESENT, OpenFlow 1.3 section 7.2.3.7).
const vlanPresent = 0x1000

func (t OfType) fields(fs *fieldList) { fs.add16(FieldEthType, uint16(t)) }

func (a ARPPacket) fields(fs *fieldList)  { arpFields(fs, model.EtherTypeARP, a) }
func (a RARPPacket) fields(fs *fieldList) { arpFields(fs, model.EtherTypeRARP, ARPPacket(a)) }

func arpFields(fs *fieldList, etherType uint16, a ARPPacket) {
	fs.add16(FieldEthType, etherType)
	if a.Op != 0 {
		fs.add16(FieldARPOp, a.Op)
	}
	fs.addPrefix(FieldARPSPA, a.SPA)
	fs.addPrefix(FieldARPTPA, a.TPA)
	fs.addMAC(FieldARPSHA, a.SHA)
	fs.addMAC(FieldARPTHA, a.THA)
}

func (p IPv4) fields(fs *fieldList) {
	fs.add16(FieldEthType, model.EtherTypeIPv4)
	fs.addPrefix(FieldIPv4Src, p.Src)
	fs.addPrefix(FieldIPv4Dst, p.Dst)
	fs.addFragment(p.Fragment)
	fs.addInner(p.Inner)
}

// The bits of NXM_NX_IP_FRAG: any fragment, and one with an offset (nicira-ext.h).
const (
	fragAny   = 1
	fragLater = 2
)

func (p IPv6) fields(fs *fieldList) {
	fs.add16(FieldEthType, model.EtherTypeIPv6)
	fs.addPrefix(FieldIPv6Src, p.Src)
	fs.addPrefix(FieldIPv6Dst, p.Dst)
	fs.addFragment(p.Fragment)
	if p.HopLimit != 0 {
		fs.add8(FieldTTL, p.HopLimit)
	}
	fs.addInner(p.Inner)
}

func (p Proto) fields(fs *fieldList) { fs.add8(FieldIPProto, uint8(p)) }

func (u UDP) fields(fs *fieldList) {
	Proto(protoUDP).fields(fs)
	if u.Src != 0 {
		fs.add16(FieldUDPSrc, u.Src)
	}
	if u.Dst != 0 {
		fs.add16(FieldUDPDst, u.Dst)
	}
}

func (HiddenUDP) fields(fs *fieldList) {
	Proto(protoUDP).fields(fs)
	fs.add16(FieldUDPSrc, 0)
	fs.add16(FieldUDPDst, 0)
}

func (t ICMPv4) fields(fs *fieldList) {
	Proto(protoICMPv4).fields(fs)
	fs.add8(FieldICMPv4Type, uint8(t))
}

func (t ICMPv6) fields(fs *fieldList) {
	Proto(protoICMPv6).fields(fs)
	fs.add8(FieldICMPv6Type, uint8(t))
}

func (n NS) fields(fs *fieldList) {
	ndFields(fs, NeighborSolicitation, n.Target, FieldNDSLL, n.SLL)
}

func (n NA) fields(fs *fieldList) {
	ndFields(fs, NeighborAdvertisement, n.Target, FieldNDTLL, n.TLL)
}

func ndFields(fs *fieldList, t ICMPv6, target netip.Prefix, option FieldID, mac *model.MAC) {
	t.fields(fs)
	fs.add8(FieldICMPv6Code, 0)
	fs.addPrefix(FieldNDTarget, target)
	if mac != nil {
		fs.masked(option, mac[:], nil)
	}
}

// fieldList collects fields. Its methods leave out conditions that match everything.
type fieldList []Field

func (fs *fieldList) masked(id FieldID, v, mask []byte) {
	*fs = append(*fs, Field{ID: id, Value: v, Mask: mask})
}

func (fs *fieldList) add8(id FieldID, v uint8)   { fs.masked(id, []byte{v}, nil) }
func (fs *fieldList) add16(id FieldID, v uint16) { fs.masked(id, be16(v), nil) }
func (fs *fieldList) add32(id FieldID, v uint32) { fs.masked(id, be32(v), nil) }

func (fs *fieldList) addMAC(id FieldID, m model.MAC) {
	if m != (model.MAC{}) {
		fs.masked(id, m[:], nil)
	}
}

// addPrefix adds a condition on an address; an invalid or empty prefix adds none.
func (fs *fieldList) addPrefix(id FieldID, p netip.Prefix) {
	if !p.IsValid() || p.Bits() == 0 {
		return
	}
	v := p.Masked().Addr().AsSlice()
	if p.IsSingleIP() {
		fs.masked(id, v, nil)
		return
	}
	mask := make([]byte, len(v))
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	fs.masked(id, v, mask)
}

func (fs *fieldList) addFragment(f Fragment) {
	switch f {
	case AnyFragment:
	case FirstFragment:
		fs.add8(FieldIPFrag, fragAny)
	case NotLater:
		fs.masked(FieldIPFrag, []byte{0}, []byte{fragLater})
	}
}

func (fs *fieldList) addInner(in Inner) {
	if in != nil {
		in.fields(fs)
	}
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
