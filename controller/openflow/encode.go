package openflow

import (
	"encoding/binary"
	"fmt"
	"math"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Rules are encoded here and not by libOpenflow, which takes a microsecond and forty
// allocations for each: a host with 10,000 VIFs has 320,000 flows. A test holds every
// kind of rule against what the library makes of it.

// oxm is the class and number of a match field in an OXM header.
type oxm struct {
	class uint16
	field uint8
}

// fieldHeader returns the OXM or NXM header of a field; OXM wherever a field has both,
// as that is what Open vSwitch sends back.
func fieldHeader(id flows.FieldID) oxm { return fieldHeaders[id] }

var fieldHeaders = [...]oxm{
	flows.FieldInPort:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IN_PORT},
	flows.FieldEthSrc:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ETH_SRC},
	flows.FieldEthType:    {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ETH_TYPE},
	flows.FieldVLAN:       {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_VLAN_VID},
	flows.FieldIPv4Src:    {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IPV4_SRC},
	flows.FieldIPv4Dst:    {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IPV4_DST},
	flows.FieldIPv6Src:    {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IPV6_SRC},
	flows.FieldIPv6Dst:    {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IPV6_DST},
	flows.FieldIPFrag:     {of.OXM_CLASS_NXM_1, of.NXM_NX_IP_FRAG},
	flows.FieldTTL:        {of.OXM_CLASS_NXM_1, of.NXM_NX_IP_TTL},
	flows.FieldIPProto:    {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IP_PROTO},
	flows.FieldUDPSrc:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_UDP_SRC},
	flows.FieldUDPDst:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_UDP_DST},
	flows.FieldICMPv4Type: {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ICMPV4_TYPE},
	flows.FieldICMPv6Type: {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ICMPV6_TYPE},
	flows.FieldICMPv6Code: {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ICMPV6_CODE},
	flows.FieldNDTarget:   {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IPV6_ND_TARGET},
	flows.FieldNDSLL:      {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IPV6_ND_SLL},
	flows.FieldNDTLL:      {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_IPV6_ND_TLL},
	flows.FieldARPOp:      {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ARP_OP},
	flows.FieldARPSPA:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ARP_SPA},
	flows.FieldARPTPA:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ARP_TPA},
	flows.FieldARPSHA:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ARP_SHA},
	flows.FieldARPTHA:     {of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ARP_THA},
	flows.FieldRegister:   {of.OXM_CLASS_NXM_1, of.NXM_NX_REG0 + flows.Register},
}

// Encode returns a rule as the switch will store it.
func Encode(r *flows.Rule, p flows.Pipeline) (flows.Entry, error) {
	list, err := EncodeAll([]flows.Rule{*r}, p)
	if err != nil {
		return flows.Entry{}, err
	}
	return list[0], nil
}

// usualLen is how many bytes the match and the instructions of most rules take together.
const usualLen = 104

// EncodeAll encodes a list of rules.
func EncodeAll(rules []flows.Rule, p flows.Pipeline) ([]flows.Entry, error) {
	entries := make([]flows.Entry, len(rules))
	ends := make([][2]int, len(rules)) // of the match and of the instructions
	buf := make([]byte, 0, usualLen*len(rules))
	var fields []flows.Field
	for i := range rules {
		begin := len(buf)
		fields = rules[i].Match.AppendFields(fields[:0])
		buf = appendMatch(buf, fields)
		ends[i][0] = len(buf)
		buf = appendInstructions(buf, &rules[i], p)
		ends[i][1] = len(buf)
		if len(buf)-begin > math.MaxUint16-flowModLen-bundleControlLen {
			return nil, fmt.Errorf("flow %q of %d bytes doesn't fit an OpenFlow message", rules[i].Text(p), len(buf)-begin)
		}
	}
	all := string(buf) // one for all: they live and die together
	begin := 0
	for i := range rules {
		r := &rules[i]
		entries[i] = flows.Entry{
			Key:          flows.Key{Table: p.Table(r.Stage), Priority: r.Priority, Match: all[begin:ends[i][0]]},
			Cookie:       r.Cookie(),
			Instructions: all[ends[i][0]:ends[i][1]],
			Timeout:      r.Timeout,
		}
		begin = ends[i][1]
	}
	return entries, nil
}

// appendMatch appends a struct ofp_match (OpenFlow 1.3 section 7.2.3).
func appendMatch(b []byte, fields []flows.Field) []byte {
	begin := len(b)
	b = append(b, 0, of.MatchType_OXM, 0, 0)
	for _, f := range fields {
		b = appendField(b, f)
	}
	binary.BigEndian.PutUint16(b[begin+2:], uint16(len(b)-begin)) // without the padding
	return pad8(b, begin)
}

// appendField appends an OXM TLV (OpenFlow 1.3 section 7.2.3.2).
func appendField(b []byte, f flows.Field) []byte {
	h := fieldHeader(f.ID)
	number := h.field << 1
	if f.Mask != nil {
		number |= 1
	}
	b = binary.BigEndian.AppendUint16(b, h.class)
	b = append(b, number, uint8(len(f.Value)+len(f.Mask)))
	b = append(b, f.Value...)
	return append(b, f.Mask...)
}

// pad8 appends zeros until what begins at begin is a multiple of 8 bytes long.
func pad8(b []byte, begin int) []byte {
	for (len(b)-begin)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

// Sizes of instructions and actions: OpenFlow 1.3 sections 7.2.4 and 7.2.5,
// nicira-ext.h.
const (
	applyLen    = 8
	gotoLen     = 8
	outputLen   = 16
	pushLen     = 8
	regLoadLen  = 24
	largerLen   = 24
	resubmitLen = 16
)

// nxCheckPktLarger is NXAST_CHECK_PKT_LARGER (ofp-actions.c), which libOpenflow doesn't
// know: it writes into a bit of a field whether the packet is longer than a number of bytes.
const nxCheckPktLarger = 49

// nxInPort is OFPP_IN_PORT in the 16 bits of NXAST_RESUBMIT_TABLE: resubmit with the
// packet's own in_port.
const nxInPort = 0xfff8

// appendInstructions appends apply-actions, when there are actions, and goto-table.
func appendInstructions(b []byte, r *flows.Rule, p flows.Pipeline) []byte {
	begin := len(b)
	b = binary.BigEndian.AppendUint16(b, of.InstrType_APPLY_ACTIONS)
	b = append(b, 0, 0, 0, 0, 0, 0) // the length, known later, and padding
	b = appendActions(b, r, p)
	if n := len(b) - begin; n > applyLen {
		binary.BigEndian.PutUint16(b[begin+2:], uint16(n))
	} else {
		b = b[:begin]
	}
	if r.Actions.Next == flows.Goto {
		b = binary.BigEndian.AppendUint16(b, of.InstrType_GOTO_TABLE)
		b = append(b, 0, gotoLen, p.Table(r.Actions.Stage), 0, 0, 0)
	}
	return b
}

// nxNDSLL is the source link-layer option as Open vSwitch names it in actions, unlike in
// matches.
var nxNDSLL = oxm{of.OXM_CLASS_NXM_1, of.NXM_NX_ND_SLL}

func appendActions(b []byte, r *flows.Rule, p flows.Pipeline) []byte {
	for _, l := range r.Loads(p) {
		b = appendLoad(b, fieldHeader(flows.FieldRegister), 4, l.Bits, l.Offset, uint64(l.Value))
	}
	if r.Actions.Singly {
		b = appendLoad(b, nxNDSLL, 6, 48, 0, flows.NobodysMAC)
	}
	if n := r.Actions.Longer; n != 0 {
		b = appendCheckPktLarger(b, n)
	}
	if r.Actions.Afresh {
		b = append(b, 0, of.ActionType_PushMpls, 0, pushLen)
		b = append(binary.BigEndian.AppendUint16(b, flows.EtherTypeMPLS), 0, 0)
		b = append(b, 0, of.ActionType_PopMpls, 0, pushLen)
		b = append(binary.BigEndian.AppendUint16(b, model.EtherTypeIPv6), 0, 0)
	}
	if r.Actions.Sample != nil {
		b = append(b, encodeSample(r.Actions.Sample)...)
	}
	switch a := &r.Actions; {
	case a.Next == flows.Again:
		b = appendResubmit(b, p.Table(a.Stage))
	case a.Next == flows.Leave && p.Exit >= 0:
		b = appendResubmit(b, uint8(p.Exit))
	case a.Next == flows.Leave:
		b = append(b, 0, of.ActionType_Output, 0, outputLen)
		b = binary.BigEndian.AppendUint32(b, of.P_NORMAL)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // only the controller port has a length
	}
	return b
}

// appendLoad appends NXAST_REG_LOAD into some bits of a field of size bytes.
func appendLoad(b []byte, h oxm, size uint8, bits, offset int, value uint64) []byte {
	b = appendNicira(b, regLoadLen, of.NXAST_REG_LOAD)
	b = binary.BigEndian.AppendUint16(b, uint16(offset<<6|(bits-1)))
	b = binary.BigEndian.AppendUint16(b, h.class)
	b = append(b, h.field<<1, size)
	return binary.BigEndian.AppendUint64(b, value)
}

func appendCheckPktLarger(b []byte, longest uint16) []byte {
	b = appendNicira(b, largerLen, nxCheckPktLarger)
	b = binary.BigEndian.AppendUint16(b, longest)
	b = binary.BigEndian.AppendUint16(b, flows.LongBit) // offset in the field
	h := fieldHeader(flows.FieldRegister)
	b = binary.BigEndian.AppendUint16(b, h.class)
	b = append(b, h.field<<1, 4)
	return append(b, 0, 0, 0, 0, 0, 0)
}

func appendResubmit(b []byte, table uint8) []byte {
	b = appendNicira(b, resubmitLen, of.NXAST_RESUBMIT_TABLE)
	b = binary.BigEndian.AppendUint16(b, nxInPort)
	return append(b, table, 0, 0, 0)
}

// appendNicira appends the header of a Nicira extension action.
func appendNicira(b []byte, length, subtype uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, of.ActionType_Experimenter)
	b = binary.BigEndian.AppendUint16(b, length)
	b = binary.BigEndian.AppendUint32(b, of.NxExperimenterID)
	return binary.BigEndian.AppendUint16(b, subtype)
}
