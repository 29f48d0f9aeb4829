package openflow

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// Numbers of the Nicira extensions for packet-ins: nicira-ext.h, ofp-actions.c and
// ofp-packet.c of Open vSwitch.
const (
	setPacketInFormat = 16 // NXT_SET_PACKET_IN_FORMAT
	setControllerID   = 20 // NXT_SET_CONTROLLER_ID
	packetIn2         = 30 // NXT_PACKET_IN2

	formatPacketIn2 = 2 // NXPIF_NXT_PACKET_IN2

	actionController2  = 37 // NXAST_CONTROLLER2
	controllerMaxLen   = 0  // NXAC2PT_MAX_LEN
	controllerID       = 1  // NXAC2PT_CONTROLLER_ID
	controllerUserdata = 3  // NXAC2PT_USERDATA
	controllerMeterID  = 5  // NXAC2PT_METER_ID

	packetInPacket   = 0 // NXPINT_PACKET
	packetInCookie   = 4 // NXPINT_COOKIE
	packetInMetadata = 6 // NXPINT_METADATA
	packetInUserdata = 7 // NXPINT_USERDATA
)

// encodeSample returns NXAST_CONTROLLER2, which libOpenflow doesn't know, with its
// properties in Open vSwitch's order, so that they come back byte for byte.
func encodeSample(s *flows.Sample) []byte {
	b := binary.BigEndian.AppendUint32(nil, of.ActionType_Experimenter<<16) // the length comes last
	b = binary.BigEndian.AppendUint32(b, nxVendor)
	b = binary.BigEndian.AppendUint16(b, actionController2)
	b = append(b, make([]byte, 6)...)
	// The padding of properties of 16 bits counts (ofpprop_put_be16).
	b = appendProperty(b, controllerMaxLen, append(be16(flows.SampleLen), 0, 0))
	b = appendProperty(b, controllerID, append(be16(flows.SampleController), 0, 0))
	if s.Passed {
		b = appendProperty(b, controllerUserdata, []byte{userdataPassed})
	}
	b = appendProperty(b, controllerMeterID, be32(s.Meter))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// userdataPassed in a sample says that the packet wasn't dropped.
const userdataPassed = 1

func appendProperty(b []byte, kind uint16, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(propertyLen+len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&7)...)
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// propertyLen is the length of a property's header.
const propertyLen = 4

// PacketIn is a sample of what a counting rule has refused.
type PacketIn struct {
	Cookie uint64 // of the rule
	InPort uint32 // OpenFlow port number; 0 if the switch didn't say
	Passed bool   // the rule only counts: the packet went on
	Frame  []byte // its first flows.SampleLen bytes
}

// parsePacketIn reads an NXT_PACKET_IN2. What it doesn't know it skips.
func parsePacketIn(m message) (PacketIn, error) {
	if !isPacketIn(m) {
		return PacketIn{}, fmt.Errorf("message type %d where a packet-in was expected", m.kind())
	}
	var p PacketIn
	for body := m[experimenterLen:]; len(body) > 0; {
		if len(body) < propertyLen {
			return PacketIn{}, errTruncated
		}
		kind, n := binary.BigEndian.Uint16(body), int(binary.BigEndian.Uint16(body[2:]))
		if n < propertyLen || n > len(body) {
			return PacketIn{}, errTruncated
		}
		if err := p.property(kind, body[propertyLen:n]); err != nil {
			return PacketIn{}, err
		}
		body = body[min((n+7)/8*8, len(body)):]
	}
	return p, nil
}

func (p *PacketIn) property(kind uint16, value []byte) error {
	switch kind {
	case packetInPacket:
		p.Frame = slices.Clone(value[:min(len(value), flows.SampleLen)])
	case packetInCookie:
		if len(value) != 12 { // 4 bytes of padding in front
			return errTruncated
		}
		p.Cookie = binary.BigEndian.Uint64(value[4:])
	case packetInMetadata:
		return p.metadata(value)
	case packetInUserdata:
		p.Passed = slices.Equal(value, []byte{userdataPassed})
	}
	return nil
}

// metadata looks for the input port in a list of OXM fields.
func (p *PacketIn) metadata(b []byte) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return errTruncated
		}
		class, field, n := binary.BigEndian.Uint16(b), b[2], int(b[3])
		if b = b[4:]; n > len(b) {
			return errTruncated
		}
		if class == of.OXM_CLASS_OPENFLOW_BASIC && field == of.OXM_FIELD_IN_PORT<<1 && n == 4 {
			p.InPort = binary.BigEndian.Uint32(b)
		}
		b = b[n:]
	}
	return nil
}

// isPacketIn reports whether a message is an NXT_PACKET_IN2.
func isPacketIn(m message) bool {
	return m.kind() == of.Type_Experimenter && len(m) >= experimenterLen &&
		binary.BigEndian.Uint32(m[headerLen:]) == nxVendor && binary.BigEndian.Uint32(m[headerLen+4:]) == packetIn2
}

// sampleBuffer is how many samples wait for whoever reads them.
const sampleBuffer = 256

// samples are what a subscribed session has received.
type samples struct {
	list   chan PacketIn
	missed atomic.Uint64
}

// sampled keeps a sample for whoever reads them, and reports whether the message was
// one. It never blocks: what nobody reads in time is counted.
func (c *Conn) sampled(m message) bool {
	if !isPacketIn(m) {
		return false
	}
	s := c.samples.Load()
	if s == nil {
		return true
	}
	p, err := parsePacketIn(m)
	if err != nil {
		s.missed.Add(1)
		return true
	}
	select {
	case s.list <- p:
	default:
		s.missed.Add(1)
	}
	return true
}

// Subscribe makes the switch send samples over this session, and no other
// asynchronous messages: service connections receive none by default. It returns the
// channel in which they arrive, which is never closed: see [Conn.Done].
//
// The samples have a controller id of their own, so that the bridge's controllers
// don't receive them, nor this session what is meant for those.
func (c *Conn) Subscribe(ctx context.Context) (<-chan PacketIn, error) {
	mode, err := c.FragmentMode(ctx)
	if err != nil {
		return nil, fmt.Errorf("subscribe to samples: %w", err)
	}
	c.samples.CompareAndSwap(nil, &samples{list: make(chan PacketIn, sampleBuffer)})
	config, err := setConfig(mode, c.missSendLen(), 0)
	if err != nil {
		return nil, err
	}
	messages := [][]byte{
		nicira(setControllerID, append(make([]byte, 6), be16(flows.SampleController)...)),
		nicira(setPacketInFormat, be32(formatPacketIn2)),
		setAsync(),
		config,
	}
	var refused error
	err = c.batch(ctx, messages, func(_ int, e *SwitchError) { refused = e })
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to samples: %w", err)
	}
	return c.samples.Load().list, nil
}

// Missed returns how many samples nobody read in time, or were malformed.
func (c *Conn) Missed() uint64 {
	if s := c.samples.Load(); s != nil {
		return s.missed.Load()
	}
	return 0
}

// missSendLen is what the session's configuration says: service connections whose
// value is 0 receive no asynchronous messages (ofconn_receives_async_msg).
func (c *Conn) missSendLen() uint16 {
	if c.samples.Load() != nil {
		return flows.SampleLen
	}
	return 0
}

func nicira(subtype uint32, body []byte) []byte {
	b := header(of.Type_Experimenter, 0)
	b = append(b, be32(nxVendor)...)
	b = append(b, be32(subtype)...)
	return finish(append(b, body...))
}

// actionReason is the bit of packet-ins that an action asked for (OFPR_ACTION,
// OpenFlow 1.3 section 7.4.1).
const actionReason = 1 << 1

// setAsync asks for these packet-ins and for nothing else.
func setAsync() []byte {
	b := header(of.Type_SetAsync, 0)
	b = append(b, be32(actionReason)...)          // packet-in, as master or equal
	return finish(append(b, make([]byte, 20)...)) // as slave; port status; flow removed
}

// finish writes a message's length into its header.
func finish(b []byte) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// batch sends messages that are answered only when they are refused, and returns when
// the switch has carried out the others. It numbers the messages itself. refused is
// called with the index of each that the switch refused.
func (c *Conn) batch(ctx context.Context, messages [][]byte, refused func(i int, err *SwitchError)) error {
	var first uint32
	n := len(messages)
	return c.send(ctx, n+1, func(xid uint32) error {
		first = xid
		for i, m := range append(messages, header(of.Type_BarrierRequest, 0)) {
			binary.BigEndian.PutUint32(m[4:], xid+uint32(i))
			if _, err := c.w.Write(m); err != nil {
				return err
			}
		}
		return nil
	}, func(m message) (bool, error) {
		i := int(m.xid() - first)
		if i == n {
			return true, expect(m, of.Type_BarrierReply)
		}
		if m.kind() != of.Type_Error {
			return true, fmt.Errorf("message type %d in answer to a request without one", m.kind())
		}
		refused(i, parseError(m))
		return false, nil
	})
}
