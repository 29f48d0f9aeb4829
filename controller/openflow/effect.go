package openflow

import (
	"encoding/binary"
	"fmt"
	"slices"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// Effect is where a flow of whoever sends packets, as far as that can be read from it. It
// may name more ways than a packet takes, never fewer.
type Effect struct {
	Tables []uint8 // where they go on: goto_table, resubmit(,N), ct(table=N); ascending
	Output bool    // they leave the tables: by a port, NORMAL, a group

	// Unclear names an action of which it can't be said where it leads, "" for none: a
	// controller decides, another in_port is looked up, or vifguard doesn't know it.
	Unclear string
}

// Drops reports whether packets that meet the flow end there.
func (fx *Effect) Drops() bool { return len(fx.Tables) == 0 && !fx.Output && fx.Unclear == "" }

// EffectOf reads a flow's instructions. What can't be read is unclear.
func EffectOf(e *flows.Entry) Effect {
	var fx Effect
	for b := []byte(e.Instructions); len(b) > 0; {
		kind, in, rest, ok := cutSized(b)
		if !ok {
			fx.unclear("unreadable instruction")
			break
		}
		switch kind {
		case of.InstrType_GOTO_TABLE:
			fx.table(in[4])
		case of.InstrType_APPLY_ACTIONS, of.InstrType_WRITE_ACTIONS:
			// What is written is carried out where the packet ends, a drop of ours too.
			fx.actions(in[8:], e.Table)
		case of.InstrType_WRITE_METADATA, of.InstrType_CLEAR_ACTIONS, of.InstrType_METER:
		default:
			fx.unclear(fmt.Sprintf("instruction(%d)", kind))
		}
		b = rest
	}
	slices.Sort(fx.Tables)
	fx.Tables = slices.Compact(fx.Tables)
	return fx
}

func (fx *Effect) table(n uint8) { fx.Tables = append(fx.Tables, n) }

func (fx *Effect) unclear(what string) {
	if fx.Unclear == "" {
		fx.Unclear = what
	}
}

// actions reads a list of actions of a flow in a table.
func (fx *Effect) actions(b []byte, table uint8) {
	for len(b) > 0 {
		kind, action, rest, ok := cutSized(b)
		if !ok {
			fx.unclear("unreadable action")
			return
		}
		fx.action(kind, action, table)
		b = rest
	}
}

// action reads one action: OpenFlow 1.3 section 7.2.5.
func (fx *Effect) action(kind uint16, b []byte, table uint8) {
	switch kind {
	case of.ActionType_Output:
		fx.port(binary.BigEndian.Uint32(b[4:]))
	case of.ActionType_Group:
		fx.Output = true
	case of.ActionType_CopyTtlOut, of.ActionType_CopyTtlIn, of.ActionType_SetMplsTtl, of.ActionType_DecMplsTtl,
		of.ActionType_PushVlan, of.ActionType_PopVlan, of.ActionType_PushMpls, of.ActionType_PopMpls,
		of.ActionType_SetQueue, of.ActionType_SetNwTtl, of.ActionType_DecNwTtl:
	case of.ActionType_SetField:
		fx.sets(b[4:])
	case of.ActionType_Experimenter:
		if len(b) < 16 || binary.BigEndian.Uint32(b[4:]) != of.NxExperimenterID {
			fx.unclear(actionText(kind, b))
			return
		}
		fx.nicira(binary.BigEndian.Uint16(b[8:]), b, table)
	default:
		fx.unclear(actionText(kind, b))
	}
}

func (fx *Effect) port(port uint32) {
	if port == of.P_CONTROLLER {
		fx.unclear(portText(port))
		return
	}
	fx.Output = true
}

// sets is for an action that writes to the field of this header: a packet that says that
// it came in elsewhere is judged as another port's.
func (fx *Effect) sets(header []byte) {
	if len(header) < 4 {
		fx.unclear("unreadable action")
		return
	}
	h := oxm{class: binary.BigEndian.Uint16(header), field: header[2] >> 1}
	if h == fieldHeaders[flows.FieldInPort] || h == (oxm{class: of.OXM_CLASS_NXM_0}) { // NXM_OF_IN_PORT
		fx.unclear("set in_port")
	}
}

// Actions of nicira-ext.h and ofp-actions.c that libOpenflow doesn't know.
const (
	nxGroup          = 40
	nxSample3        = 41
	nxClone          = 42
	nxDeleteField    = 50
	nxWriteMetadata  = 22
	nxLearn2         = 45
	nxNoTable        = 0xff // of ct: no recirculation; of resubmit: the flow's own table
	nxCTLen          = 24
	nxCTTable        = 18 // offsets
	nxMoveDst        = 20
	nxLoadDst        = 12
	nxLoad2Dst       = 16
	nxStackDst       = 12
	nxCheckLargerDst = 14
)

// nicira reads an action of nicira-ext.h of at least 16 bytes.
func (fx *Effect) nicira(kind uint16, b []byte, table uint8) {
	switch kind {
	case of.NXAST_RESUBMIT_TABLE, of.NXAST_CT_RESUBMIT:
		if binary.BigEndian.Uint16(b[10:]) != nxInPort {
			fx.unclear("resubmit as another port")
			return
		}
		fx.ownTable(b[12], table)
	case of.NXAST_CT:
		if len(b) < nxCTLen {
			fx.unclear("unreadable action")
			return
		}
		if b[nxCTTable] != nxNoTable {
			fx.table(b[nxCTTable])
		}
		fx.actions(b[nxCTLen:], table)
	case nxClone:
		fx.actions(b[16:], table)
	case of.NXAST_OUTPUT_REG, of.NXAST_OUTPUT_REG2, of.NXAST_OUTPUT_TRUNC, of.NXAST_BUNDLE, nxGroup:
		fx.Output = true
	default:
		fx.harmless(kind, b)
	}
}

// harmless reads the actions that send packets nowhere, if this is one.
func (fx *Effect) harmless(kind uint16, b []byte) {
	dst := -1
	switch kind {
	case of.NXAST_REG_MOVE:
		dst = nxMoveDst
	case of.NXAST_REG_LOAD:
		dst = nxLoadDst
	case of.NXAST_REG_LOAD2:
		dst = nxLoad2Dst
	case of.NXAST_STACK_POP:
		dst = nxStackDst
	case nxCheckPktLarger:
		dst = nxCheckLargerDst
	case of.NXAST_SET_TUNNEL, of.NXAST_SET_TUNNEL_V6, of.NXAST_SET_QUEUE, of.NXAST_POP_QUEUE, of.NXAST_NOTE,
		of.NXAST_EXIT, of.NXAST_DEC_TTL, of.NXAST_DEC_TTL_CNT_IDS, of.NXAST_FIN_TIMEOUT, nxWriteMetadata,
		of.NXAST_PUSH_MPLS, of.NXAST_POP_MPLS, of.NXAST_SET_MPLS_TTL, of.NXAST_DEC_MPLS_TTL, of.NXAST_SET_MPLS_LABEL,
		of.NXAST_SET_MPLS_TC, of.NXAST_STACK_PUSH, of.NXAST_SAMPLE, of.NXAST_SAMPLE2, nxSample3,
		of.NXAST_CONJUNCTION, of.NXAST_NAT, of.NXAST_CT_CLEAR, of.NXAST_DEC_NSH_TTL, nxDeleteField:
	case of.NXAST_CONTROLLER, of.NXAST_CONTROLLER2:
		fx.unclear("CONTROLLER")
	case of.NXAST_LEARN, nxLearn2:
		fx.unclear("learn")
	default:
		fx.unclear(niciraText(b))
	}
	if dst >= 0 {
		fx.sets(b[min(dst, len(b)):])
	}
}

// ownTable is for a resubmit to a table, or to the flow's own.
func (fx *Effect) ownTable(n, table uint8) {
	if n == nxNoTable {
		n = table
	}
	fx.table(n)
}

// InPortOf returns the port that a flow's match names, and whether it names nothing but
// that. Without a condition on the port, or one that can't be read, port is 0: the flow
// may be about any.
func InPortOf(e *flows.Entry) (port uint32, only bool) {
	match, _, err := cutPadded([]byte(e.Match))
	if err != nil {
		return 0, false
	}
	only = true
	for b := match[4:]; len(b) > 0; {
		h, value, rest, err := cutField(b)
		if err != nil {
			return 0, false
		}
		if h == fieldHeaders[flows.FieldInPort] && len(value) == 4 {
			port = binary.BigEndian.Uint32(value)
		} else {
			only = false
		}
		b = rest
	}
	return port, only
}
