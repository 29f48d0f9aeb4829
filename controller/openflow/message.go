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
	configLen        = 12 // ofp_switch_config
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

// flowMod encodes a change of one flow. Changes and deletes are limited to flows with
// the cookie that is expected there: a port number may have passed to another owner,
// whose flows have the same keys.
func flowMod(c flows.Change, xid uint32) ([]byte, error) {
	m := of.NewFlowMod()
	m.Xid = xid
	m.TableId = c.Entry.Table
	m.Priority = c.Entry.Priority
	m.Cookie = c.Entry.Cookie
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
	if len(b) > math.MaxUint16-bundleControlLen {
		return nil, fmt.Errorf("flow of %d bytes doesn't fit an OpenFlow message", len(b))
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b, nil
}

// bundleAdd wraps a message into a bundle. Open vSwitch wants the same xid inside and
// outside.
func bundleAdd(id uint32, inner []byte) ([]byte, error) {
	m := of.NewBundleAdd(&of.BundleAdd{BundleID: id, Flags: bundleFlags, Message: encoded(inner)})
	m.Header.Xid = message(inner).xid()
	return marshal(m)
}

const bundleFlags = of.OFPBCT_ATOMIC | of.OFPBCT_ORDERED

func bundleControl(id uint32, kind uint16, xid uint32) ([]byte, error) {
	m := of.NewBundleControl(&of.BundleControl{BundleID: id, Type: kind, Flags: bundleFlags})
	m.Header.Xid = xid
	return marshal(m)
}

// encoded is a message that is encoded already.
type encoded []byte

func (e encoded) Len() uint16                    { return uint16(len(e)) }
func (e encoded) MarshalBinary() ([]byte, error) { return e, nil }
func (e encoded) UnmarshalBinary([]byte) error   { return fmt.Errorf("openflow: %w", errWriteOnly) }

// flowStatsRequest asks for the flows of all tables whose cookie matches.
func flowStatsRequest(cookie, mask uint64, xid uint32) ([]byte, error) {
	body := of.NewFlowStatsRequest()
	body.TableId = of.OFPTT_ALL
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
