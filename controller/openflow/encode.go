package openflow

import (
	"errors"
	"fmt"

	of "github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"

	"github.com/vifguard/vifguard/flows"
)

// oxm is the class and number of a match field in an OXM header.
type oxm struct {
	class uint16
	field uint8
}

// fieldHeaders are the OXM and NXM headers of the fields; OXM wherever a field has
// both, as that is what Open vSwitch sends back.
var fieldHeaders = map[flows.FieldID]oxm{
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

// raw is a field's value as libOpenflow wants it.
type raw []byte

func (r raw) Len() uint16                    { return uint16(len(r)) }
func (r raw) MarshalBinary() ([]byte, error) { return r, nil }
func (r raw) UnmarshalBinary([]byte) error {
	return errors.New("openflow: a raw value is only written")
}

var _ util.Message = raw(nil)

// Encode returns a rule as the switch will store it.
func Encode(r *flows.Rule, p flows.Pipeline) (flows.Entry, error) {
	match := of.NewMatch()
	for _, f := range r.Match.Fields() {
		match.AddField(matchField(f))
	}
	m, err := match.MarshalBinary()
	if err != nil {
		return flows.Entry{}, fmt.Errorf("encode the match of %q: %w", r.Text(p), err)
	}
	var in []byte
	for _, i := range instructions(r, p) {
		b, err := i.MarshalBinary()
		if err != nil {
			return flows.Entry{}, fmt.Errorf("encode the actions of %q: %w", r.Text(p), err)
		}
		in = append(in, b...)
	}
	return flows.Entry{
		Key:          flows.Key{Table: p.Table(r.Stage), Priority: r.Priority, Match: string(m)},
		Cookie:       r.Cookie(),
		Instructions: string(in),
	}, nil
}

// EncodeAll encodes a list of rules.
func EncodeAll(rules []flows.Rule, p flows.Pipeline) ([]flows.Entry, error) {
	entries := make([]flows.Entry, len(rules))
	for i := range rules {
		e, err := Encode(&rules[i], p)
		if err != nil {
			return nil, err
		}
		entries[i] = e
	}
	return entries, nil
}

func matchField(f flows.Field) of.MatchField {
	h := fieldHeaders[f.ID]
	m := of.MatchField{
		Class: h.class, Field: h.field,
		HasMask: f.Mask != nil, Length: uint8(len(f.Value) + len(f.Mask)),
		Value: raw(f.Value),
	}
	if f.Mask != nil {
		m.Mask = raw(f.Mask)
	}
	return m
}

// instructions returns apply-actions, when there are actions, and goto-table.
func instructions(r *flows.Rule, p flows.Pipeline) []of.Instruction {
	apply := of.NewInstrApplyActions()
	add := func(a of.Action) {
		apply.Actions = append(apply.Actions, a)
		apply.Length = apply.Len()
	}
	for _, l := range r.Loads(p) {
		ofsNbits := uint16(l.Offset<<6 | (l.Bits - 1)) // nicira-ext.h, NXAST_REG_LOAD
		dst := matchField(flows.Field{ID: flows.FieldRegister, Value: make([]byte, 4)})
		add(of.NewNXActionRegLoad(ofsNbits, &dst, uint64(l.Value)))
	}
	if r.Actions.Sample != nil {
		add(newSample(r.Actions.Sample))
	}
	switch a := &r.Actions; {
	case a.Next == flows.Again:
		add(of.NewNXActionResubmitTableAction(nxInPort, p.Table(a.Stage)))
	case a.Next == flows.Leave && p.Exit >= 0:
		add(of.NewNXActionResubmitTableAction(nxInPort, uint8(p.Exit)))
	case a.Next == flows.Leave:
		normal := of.NewActionOutput(of.P_NORMAL)
		normal.MaxLen = 0 // only the controller port has one
		add(normal)
	}
	var list []of.Instruction
	if len(apply.Actions) > 0 {
		list = append(list, apply)
	}
	if r.Actions.Next == flows.Goto {
		list = append(list, of.NewInstrGotoTable(p.Table(r.Actions.Stage)))
	}
	return list
}

// nxInPort is OFPP_IN_PORT in the 16 bits of NXAST_RESUBMIT_TABLE: resubmit with the
// packet's own in_port.
const nxInPort = 0xfff8
