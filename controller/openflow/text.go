package openflow

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// Text writes a flow of the switch in the syntax of ovs-ofctl(8), as [flows.Rule.Text]
// does for a rule. It is for people: what it doesn't know, in flows of others, it
// writes as numbers, and it never fails.
func Text(e *flows.Entry) string {
	text := fmt.Sprintf("cookie=0x%x,table=%d,priority=%d", e.Cookie, e.Table, e.Priority)
	if e.Timeout != 0 {
		text += fmt.Sprintf(",hard_timeout=%d", e.Timeout)
	}
	if m := matchText([]byte(e.Match)); m != "" {
		text += "," + m
	}
	return text + " actions=" + instructionsText([]byte(e.Instructions))
}

func matchText(b []byte) string {
	match, _, err := cutPadded(b)
	if err != nil {
		return "unreadable"
	}
	var words []string
	for b := match[4:]; len(b) > 0; {
		h, value, rest, err := cutField(b)
		if err != nil {
			return strings.Join(append(words, "unreadable"), ",")
		}
		words = append(words, fieldText(h, value, b[2]&1 != 0))
		b = rest
	}
	return strings.Join(words, ",")
}

// otherFields are the names of fields that rules don't use (ovs-fields(7)).
var otherFields = map[oxm]string{
	{of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_METADATA}: "metadata",
	{of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_ETH_DST}:  "dl_dst",
	{of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_TCP_SRC}:  "tcp_src",
	{of.OXM_CLASS_OPENFLOW_BASIC, of.OXM_FIELD_TCP_DST}:  "tcp_dst",
}

func fieldText(h oxm, value []byte, masked bool) string {
	var mask []byte
	if masked && len(value)%2 == 0 {
		value, mask = value[:len(value)/2], value[len(value)/2:]
	}
	for i, known := range fieldHeaders {
		id := flows.FieldID(i)
		if known != h {
			continue
		}
		name, _, _ := strings.Cut(flows.Field{ID: id, Value: []byte{0}}.String(), "=")
		if plainField(id, value, mask) {
			return flows.Field{ID: id, Value: value, Mask: mask}.String()
		}
		return name + "=" + maskedText(value, mask)
	}
	name, ok := otherFields[h]
	switch {
	case ok:
	case h.class == of.OXM_CLASS_NXM_1 && h.field < 16:
		name = fmt.Sprintf("reg%d", h.field)
	default:
		name = fmt.Sprintf("oxm(0x%04x,%d)", h.class, h.field)
	}
	return name + "=" + maskedText(value, mask)
}

// plainField reports whether flows writes the condition in full: it knows the masks
// that rules use and no others.
func plainField(id flows.FieldID, value, mask []byte) bool {
	switch id {
	case flows.FieldIPv4Src, flows.FieldIPv4Dst, flows.FieldARPSPA, flows.FieldARPTPA:
		return len(value) == 4 && isPrefix(mask)
	case flows.FieldIPv6Src, flows.FieldIPv6Dst, flows.FieldNDTarget:
		return len(value) == 16 && isPrefix(mask)
	case flows.FieldIPFrag:
		first, notLater := string(value) == "\x01" && mask == nil, string(value) == "\x00" && string(mask) == "\x02"
		return first || notLater
	case flows.FieldVLAN, flows.FieldRegister:
		return len(value) <= 4
	default:
		return len(value) <= 8 && mask == nil
	}
}

func isPrefix(mask []byte) bool {
	ones, _ := net.IPMask(mask).Size()
	return mask == nil || ones > 0
}

// maskedText writes a value by its size: addresses as such, the rest as numbers.
func maskedText(value, mask []byte) string {
	text := valueText(value)
	if mask != nil {
		text += "/" + valueText(mask)
	}
	return text
}

func valueText(b []byte) string {
	switch len(b) {
	case 6:
		return net.HardwareAddr(b).String()
	case 16:
		return netip.AddrFrom16([16]byte(b)).String()
	}
	return "0x" + hex.EncodeToString(b)
}

// cutSized cuts off a structure whose type and length are its first two 16-bit words,
// as in ofp_instruction and ofp_action_header.
func cutSized(b []byte) (kind uint16, head, rest []byte, ok bool) {
	if len(b) < 8 {
		return 0, nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < 8 || n > len(b) {
		return 0, nil, nil, false
	}
	return binary.BigEndian.Uint16(b), b[:n], b[n:], true
}

func instructionsText(b []byte) string {
	var words []string
	for len(b) > 0 {
		kind, in, rest, ok := cutSized(b)
		if !ok {
			words = append(words, "unreadable")
			break
		}
		switch kind {
		case of.InstrType_GOTO_TABLE:
			words = append(words, fmt.Sprintf("goto_table:%d", in[4]))
		case of.InstrType_APPLY_ACTIONS:
			words = append(words, actionsText(in[8:])...)
		case of.InstrType_WRITE_ACTIONS:
			words = append(words, "write_actions("+strings.Join(actionsText(in[8:]), ",")+")")
		default:
			words = append(words, fmt.Sprintf("instruction(%d)", kind))
		}
		b = rest
	}
	if len(words) == 0 {
		return "drop"
	}
	return strings.Join(words, ",")
}

func actionsText(b []byte) []string {
	var words []string
	for len(b) > 0 {
		kind, action, rest, ok := cutSized(b)
		if !ok {
			return append(words, "unreadable")
		}
		words = append(words, actionText(kind, action))
		b = rest
	}
	return words
}

func actionText(kind uint16, b []byte) string {
	switch {
	case kind == of.ActionType_Output:
		return portText(binary.BigEndian.Uint32(b[4:]))
	case kind == of.ActionType_PushMpls:
		return fmt.Sprintf("push_mpls:0x%04x", binary.BigEndian.Uint16(b[4:]))
	case kind == of.ActionType_PopMpls:
		return fmt.Sprintf("pop_mpls:0x%04x", binary.BigEndian.Uint16(b[4:]))
	case kind == of.ActionType_Experimenter && len(b) >= 16 && binary.BigEndian.Uint32(b[4:]) == of.NxExperimenterID:
		return niciraText(b)
	}
	return fmt.Sprintf("action(%d)", kind)
}

// niciraText writes an action of nicira-ext.h of at least 16 bytes.
func niciraText(b []byte) string {
	kind := binary.BigEndian.Uint16(b[8:])
	switch {
	case kind == of.NXAST_RESUBMIT_TABLE && binary.BigEndian.Uint16(b[10:]) == nxInPort:
		return fmt.Sprintf("resubmit(,%d)", b[12])
	case kind == of.NXAST_REG_LOAD && len(b) >= 24:
		ofsNbits := binary.BigEndian.Uint16(b[10:])
		from := ofsNbits >> 6
		return fmt.Sprintf("load:0x%x->%s[%d..%d]", binary.BigEndian.Uint64(b[16:]), targetText(b[12:]), from, from+ofsNbits&0x3f)
	case kind == nxCheckPktLarger && len(b) >= largerLen:
		return fmt.Sprintf("check_pkt_larger(%d)->%s[%d]", binary.BigEndian.Uint16(b[10:]), targetText(b[14:]), binary.BigEndian.Uint16(b[12:]))
	}
	return fmt.Sprintf("nicira(%d)", kind)
}

// targetText names the field that an action writes, by the first three bytes of its
// header.
func targetText(b []byte) string {
	h := oxm{class: binary.BigEndian.Uint16(b), field: b[2] >> 1}
	switch {
	case h.class == of.OXM_CLASS_NXM_1 && h.field < 16:
		return fmt.Sprintf("NXM_NX_REG%d", h.field)
	case h == nxNDSLL:
		return "NXM_NX_ND_SLL"
	}
	return fmt.Sprintf("oxm(0x%04x,%d)", h.class, h.field)
}

func portText(port uint32) string {
	switch port {
	case of.P_NORMAL:
		return "NORMAL"
	case of.P_CONTROLLER:
		return "CONTROLLER"
	case of.P_LOCAL:
		return "LOCAL"
	case of.P_IN_PORT:
		return "IN_PORT"
	case of.P_FLOOD:
		return "FLOOD"
	case of.P_ALL:
		return "ALL"
	}
	return fmt.Sprintf("output:%d", port)
}
