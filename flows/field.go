package flows

import (
	"encoding/binary"
	"net/netip"

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
	protoUDP    = 17
	protoICMPv6 = 58
	protoVRRP   = 112
)

// Fields returns the match as a list of conditions in the switch's order, with every
// prerequisite.
func (m *Match) Fields() []Field {
	var fs fieldList
	if m.InPort != 0 {
		fs.add32(FieldInPort, m.InPort)
	}
	fs.addMAC(FieldEthSrc, m.EthSrc)
	var payload []Field
	if m.Payload != nil {
		payload = m.Payload.fields()
		fs = append(fs, payload[0]) // the ethertype, which comes before the VLAN
		payload = payload[1:]
	}
	switch m.VLAN {
	case Tagged:
		fs.masked(FieldVLAN, be16(vlanPresent), be16(vlanPresent))
	case PriorityTagged:
		fs.add16(FieldVLAN, vlanPresent)
	}
	fs = append(fs, payload...)
	if v, mask := m.register(); mask != 0 {
		fs.masked(FieldRegister, be32(v), be32(mask))
	}
	return fs
}

// vlanPresent is the bit of OXM_OF_VLAN_VID that says that there is a tag
// (OFPVID_PRESENT, OpenFlow 1.3 section 7.2.3.7).
const vlanPresent = 0x1000

func (t OfType) fields() []Field {
	var fs fieldList
	fs.add16(FieldEthType, uint16(t))
	return fs
}

func (a ARPPacket) fields() []Field  { return arpFields(model.EtherTypeARP, a) }
func (a RARPPacket) fields() []Field { return arpFields(model.EtherTypeRARP, ARPPacket(a)) }

func arpFields(etherType uint16, a ARPPacket) []Field {
	var fs fieldList
	fs.add16(FieldEthType, etherType)
	if a.Op != 0 {
		fs.add16(FieldARPOp, a.Op)
	}
	fs.addPrefix(FieldARPSPA, a.SPA)
	fs.addPrefix(FieldARPTPA, a.TPA)
	fs.addMAC(FieldARPSHA, a.SHA)
	fs.addMAC(FieldARPTHA, a.THA)
	return fs
}

func (p IPv4) fields() []Field {
	var fs fieldList
	fs.add16(FieldEthType, model.EtherTypeIPv4)
	fs.addPrefix(FieldIPv4Src, p.Src)
	fs.addPrefix(FieldIPv4Dst, p.Dst)
	fs.addFragment(p.Fragment)
	return fs.addInner(p.Inner)
}

// fragFirst is the value of NXM_NX_IP_FRAG for fragments with offset 0: the bit for
// any fragment without the bit for later ones (nicira-ext.h).
const fragFirst = 1

func (p IPv6) fields() []Field {
	var fs fieldList
	fs.add16(FieldEthType, model.EtherTypeIPv6)
	fs.addPrefix(FieldIPv6Src, p.Src)
	fs.addPrefix(FieldIPv6Dst, p.Dst)
	fs.addFragment(p.Fragment)
	if p.HopLimit != 0 {
		fs.add8(FieldTTL, p.HopLimit)
	}
	return fs.addInner(p.Inner)
}

func (p Proto) fields() []Field {
	var fs fieldList
	fs.add8(FieldIPProto, uint8(p))
	return fs
}

func (u UDP) fields() []Field {
	fs := fieldList(Proto(protoUDP).fields())
	if u.Src != 0 {
		fs.add16(FieldUDPSrc, u.Src)
	}
	if u.Dst != 0 {
		fs.add16(FieldUDPDst, u.Dst)
	}
	return fs
}

func (HiddenUDP) fields() []Field {
	fs := fieldList(Proto(protoUDP).fields())
	fs.add16(FieldUDPSrc, 0)
	fs.add16(FieldUDPDst, 0)
	return fs
}

func (t ICMPv6) fields() []Field {
	fs := fieldList(Proto(protoICMPv6).fields())
	fs.add8(FieldICMPv6Type, uint8(t))
	return fs
}

func (n NS) fields() []Field {
	return ndFields(NeighborSolicitation, n.Target, FieldNDSLL, n.SLL)
}

func (n NA) fields() []Field {
	return ndFields(NeighborAdvertisement, n.Target, FieldNDTLL, n.TLL)
}

func ndFields(t ICMPv6, target netip.Prefix, option FieldID, mac *model.MAC) []Field {
	fs := fieldList(t.fields())
	fs.add8(FieldICMPv6Code, 0)
	fs.addPrefix(FieldNDTarget, target)
	if mac != nil {
		fs = append(fs, Field{ID: option, Value: mac[:]})
	}
	return fs
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
	if f == FirstFragment {
		fs.add8(FieldIPFrag, fragFirst)
	}
}

func (fs *fieldList) addInner(in Inner) []Field {
	if in != nil {
		*fs = append(*fs, in.fields()...)
	}
	return *fs
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
