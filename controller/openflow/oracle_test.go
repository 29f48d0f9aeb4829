package openflow

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"testing"

	of "github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"
	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// raw is a field's value as libOpenflow wants it.
type raw []byte

func (r raw) Len() uint16                    { return uint16(len(r)) }
func (r raw) MarshalBinary() ([]byte, error) { return r, nil }
func (r raw) UnmarshalBinary([]byte) error {
	return errWriteOnly
}

var _ util.Message = raw(nil)

var errWriteOnly = errors.New("this message is only written")

// libraryEncode is Encode by libOpenflow.
func libraryEncode(r *flows.Rule, p flows.Pipeline) (flows.Entry, error) {
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
		Timeout:      r.Timeout,
	}, nil
}

func matchField(f flows.Field) of.MatchField {
	h := fieldHeader(f.ID)
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

// unknownAction is one that libOpenflow doesn't know.
type unknownAction struct{ raw }

func (unknownAction) Header() *of.ActionHeader { return nil } // only used in decoding

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
	if r.Actions.Singly {
		dst := of.MatchField{Class: of.OXM_CLASS_NXM_1, Field: of.NXM_NX_ND_SLL, Length: 6}
		add(of.NewNXActionRegLoad(47, &dst, 0x010000000000))
	}
	if n := r.Actions.Longer; n != 0 {
		// As Open vSwitch 3.1 sends it back: bit 7 of register 15.
		b, err := hex.DecodeString(fmt.Sprintf("ffff0018000023200031%04x000700011e04000000000000", n))
		if err != nil {
			panic(err)
		}
		add(unknownAction{b})
	}
	if r.Actions.Afresh {
		add(of.NewActionPushMpls(0x8847))
		add(of.NewActionPopMpls(0x86dd))
	}
	if r.Actions.Sample != nil {
		add(unknownAction{encodeSample(r.Actions.Sample)})
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

// libraryFlowMod encodes a change of one flow by libOpenflow.
func libraryFlowMod(c flows.Change, xid uint32) ([]byte, error) {
	m := of.NewFlowMod()
	m.Xid = xid
	m.TableId = c.Entry.Table
	m.Priority = c.Entry.Priority
	m.Cookie = c.Entry.Cookie
	m.HardTimeout = c.Entry.Timeout
	body := c.Entry.Match
	switch c.Op {
	case flows.Add:
		m.Command = of.FC_ADD
		body += c.Entry.Instructions
	case flows.Modify:
		m.Command = of.FC_MODIFY_STRICT
		m.CookieMask = math.MaxUint64
		body += c.Entry.Instructions
	case flows.Delete:
		m.Command = of.FC_DELETE_STRICT
		m.CookieMask = math.MaxUint64
	}
	b, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b = append(b[:flowModLen], body...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b, nil
}

// libraryBundleAdd wraps a message into a bundle by libOpenflow.
func libraryBundleAdd(id uint32, inner []byte) ([]byte, error) {
	m := of.NewBundleAdd(&of.BundleAdd{BundleID: id, Flags: bundleFlags, Message: encoded(inner)})
	m.Header.Xid = message(inner).xid()
	return marshal(m)
}

// encoded is a message that is encoded already.
type encoded []byte

func (e encoded) Len() uint16                    { return uint16(len(e)) }
func (e encoded) MarshalBinary() ([]byte, error) { return e, nil }
func (e encoded) UnmarshalBinary([]byte) error   { return errWriteOnly }

// EveryRule returns rules of every kind: the shared ones and those of VIFs that
// between them use every key.
func EveryRule() []flows.Rule {
	bridge := &model.BridgeConfig{Settings: model.Settings{Name: "br0"}}
	rules := flows.Shared()
	for i, ids := range []map[string]string{
		{"attached-mac": "52:54:00:00:00:01", "port-security": "mac", "port-security-flood": "1000"},
		{"attached-mac": "52:54:00:00:00:02", "port-security": "mac,arp", "allowed-addresses": "192.0.2.2 2001:db8::2", "port-security-allow": "priority-tag,router,dhcp-server"},
		{"attached-mac": "52:54:00:00:00:03", "port-security": "mac,arp,ip", "allowed-addresses": "192.0.2.3 198.51.100.0/24 2001:db8:1::/48",
			"allowed-address-pairs": "192.0.2.100@00:00:5e:00:01:07,2001:db8::100@00:00:5e:00:02:07,0.0.0.0/0,::/0@52:54:00:00:00:33", "port-security-allow": "ethertype:0x88cc"},
		{"attached-mac": "52:54:00:00:00:04", "port-security": "auto", "port-security-action": "observe", "port-security-allow": "vlan-trunk"},
		{"port-security": "block"},
		{"port-security": "off"},
	} {
		p := model.Resolve(bridge, nil, &model.Interface{Name: "p", ExternalIDs: ids})
		rules = append(rules, flows.Compile(flows.Port{VIF: flows.VIFID(i + 1), InPort: uint32(i + 1), Policy: &p, Quarantine: 15})...)
	}
	rules = append(rules, flows.Compile(flows.Port{InPort: 0xfffffffe, Policy: &model.Policy{Mode: model.Trusted}})...)
	return rules
}

// Every kind of rule is encoded as libOpenflow does it.
func TestEncodingIsTheLibrarys(t *testing.T) {
	for _, p := range []flows.Pipeline{{First: 0, Exit: -1}, {First: 40, Exit: 100}} {
		rules := EveryRule()
		all, err := EncodeAll(rules, p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rules {
			want, err := libraryEncode(&rules[i], p)
			if err != nil {
				t.Fatal(err)
			}
			one, err := Encode(&rules[i], p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]flows.Entry{want, want}, []flows.Entry{one, all[i]}); diff != "" {
				t.Errorf("%s (-library +ours):\n%s", rules[i].Text(p), diff)
			}
			for _, op := range []flows.Op{flows.Add, flows.Modify, flows.Delete} {
				change := flows.Change{Op: op, Entry: want}
				fm, err := libraryFlowMod(change, 0x1234567)
				if err != nil {
					t.Fatal(err)
				}
				want, err := libraryBundleAdd(0x89abcdef, fm)
				if err != nil {
					t.Fatal(err)
				}
				got, err := appendBundleAdd(nil, 0x89abcdef, &change, 0x1234567)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %s (-library +ours):\n%s", op, rules[i].Text(p), diff)
				}
			}
		}
	}
}
