package openflow

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/contiv/libOpenflow/common"
	of "github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"

	"github.com/vifguard/vifguard/flows"
)

// Sizes of fixed parts of messages, in bytes: OpenFlow 1.3 section 7.
const (
	headerLen        = 8
	flowModLen       = 48 // ofp_flow_mod without its match
	multipartLen     = 16 // ofp_multipart_reply
	flowStatsLen     = 48 // ofp_flow_stats without its match
	errorLen         = 12 // ofp_error_msg
	experimenterLen  = 16 // ofp_experimenter_header and what the experimenter type needs
	bundleControlLen = experimenterLen + 8
	bundleAddLen     = bundleControlLen // without the message inside
	configLen        = 12               // ofp_switch_config
)

// message is one OpenFlow message as it was received, header included.
type message []byte

func (m message) kind() uint8 { return m[1] }
func (m message) xid() uint32 { return binary.BigEndian.Uint32(m[4:]) }

// header encodes a message that is only a header.
func header(kind uint8, xid uint32) []byte {
	h := common.Header{Version: of.VERSION, Type: kind, Length: headerLen, Xid: xid}
	b, _ := h.MarshalBinary() // can't fail
	return b
}

// marshal encodes a library message and checks the length that the library puts into
// 16 bits without looking.
func marshal(m util.Message) ([]byte, error) {
	b, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if len(b) > math.MaxUint16 {
		return nil, fmt.Errorf("message of %d bytes doesn't fit OpenFlow's 65535", len(b))
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b, nil
}

// appendBundleAdd appends a change of one flow as part of a bundle (ONF extension 230).
// Changes and deletes are limited to flows with the cookie that is expected there: a
// port number may have passed to another owner, whose flows have the same keys. Open
// vSwitch wants the same xid inside and outside. Like rules, the many changes of a
// large bundle are encoded here and held against libOpenflow in a test.
func appendBundleAdd(b []byte, bundle uint32, c *flows.Change, xid uint32) ([]byte, error) {
	n := flowModLen + len(c.Entry.Match)
	if c.Op != flows.Delete {
		n += len(c.Entry.Instructions)
	}
	if bundleAddLen+n > math.MaxUint16 {
		return nil, fmt.Errorf("flow of %d bytes doesn't fit an OpenFlow message", n)
	}
	b = appendHeader(b, of.Type_Experimenter, bundleAddLen+n, xid)
	b = binary.BigEndian.AppendUint32(b, of.ONF_EXPERIMENTER_ID)
	b = binary.BigEndian.AppendUint32(b, of.Type_BundleAdd)
	b = binary.BigEndian.AppendUint32(b, bundle)
	b = binary.BigEndian.AppendUint32(b, uint32(bundleFlags)) // with padding before them

	b = appendHeader(b, of.Type_FlowMod, n, xid)
	b = binary.BigEndian.AppendUint64(b, c.Entry.Cookie)
	command, mask := uint8(of.FC_ADD), uint64(0)
	switch c.Op {
	case flows.Add:
	case flows.Modify:
		command, mask = of.FC_MODIFY_STRICT, math.MaxUint64
	case flows.Delete:
		command, mask = of.FC_DELETE_STRICT, math.MaxUint64
	}
	b = binary.BigEndian.AppendUint64(b, mask)
	b = append(b, c.Entry.Table, command, 0, 0) // no idle timeout
	b = binary.BigEndian.AppendUint16(b, c.Entry.Timeout)
	b = binary.BigEndian.AppendUint16(b, c.Entry.Priority)
	b = binary.BigEndian.AppendUint32(b, noBuffer)
	b = binary.BigEndian.AppendUint32(b, of.P_ANY)
	b = binary.BigEndian.AppendUint32(b, of.OFPG_ANY)
	b = append(b, 0, 0, 0, 0) // flags and padding
	b = append(b, c.Entry.Match...)
	if c.Op != flows.Delete {
		b = append(b, c.Entry.Instructions...)
	}
	return b, nil
}

// noBuffer is OFP_NO_BUFFER: the flow-mod isn't about a buffered packet.
const noBuffer = 0xffffffff

// appendHeader appends the header of a message of n bytes.
func appendHeader(b []byte, kind uint8, n int, xid uint32) []byte {
	b = append(b, of.VERSION, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return binary.BigEndian.AppendUint32(b, xid)
}

const bundleFlags = of.OFPBCT_ATOMIC | of.OFPBCT_ORDERED

func bundleControl(id uint32, kind uint16, xid uint32) ([]byte, error) {
	m := of.NewBundleControl(&of.BundleControl{BundleID: id, Type: kind, Flags: bundleFlags})
	m.Header.Xid = xid
	return marshal(m)
}

// flowStatsRequest asks for the flows of a table, or of all, whose cookie matches.
func flowStatsRequest(table uint8, cookie, mask uint64, xid uint32) ([]byte, error) {
	body := of.NewFlowStatsRequest()
	body.TableId = table
	body.Cookie, body.CookieMask = cookie, mask
	m := &of.MultipartRequest{Header: of.NewOfp13Header(), Type: of.MultipartType_Flow, Body: body}
	m.Header.Type = of.Type_MultiPartRequest
	m.Xid = xid
	return marshal(m)
}

func setConfig(flags, missSendLen uint16, xid uint32) ([]byte, error) {
	m := of.NewSetConfig()
	m.Xid, m.Flags, m.MissSendLen = xid, flags, missSendLen
	return marshal(m)
}
