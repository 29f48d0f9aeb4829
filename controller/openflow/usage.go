package openflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// Usage is when packets last met a flow. Open vSwitch counts whole seconds.
type Usage struct {
	Packets uint64
	Age     time.Duration // since the flow was added; its counters are as old
	Idle    time.Duration // since the last packet; as Age when there was none
}

// FlowID identifies a flow and its owner.
type FlowID struct {
	flows.Key
	Cookie uint64
}

// ErrNoTimes is returned (wrapped) by ReadUsage when the bridge doesn't speak OpenFlow
// 1.5: earlier versions have no idle times.
var ErrNoTimes = errors.New("its protocols exclude OpenFlow15, which is needed to ask when a flow was last used")

// OpenFlow 1.5, in which flow statistics are a list of OXS fields: sections 7.2.4.2
// and 7.3.5.2.
const (
	version15      = 6
	flowDescLen    = 24 // ofp_flow_desc without its match
	oxsClassBasic  = 0x8002
	oxsDuration    = 0
	oxsIdleTime    = 1
	oxsPacketCount = 4
)

// ReadUsage reads the usage of vifguard's flows over a session of its own in OpenFlow
// 1.5. The keys are those that [Conn.OwnFlows] returns for the same flows.
func ReadUsage(ctx context.Context, path string) (map[FlowID]Usage, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to the bridge's management socket: %w", err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	all, err := readUsage(nc)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("read flow times at %s: %w", path, err)
	}
	return all, nil
}

func readUsage(rw io.ReadWriter) (map[FlowID]Usage, error) {
	if _, err := rw.Write(append(hello15(), usageRequest()...)); err != nil {
		return nil, err
	}
	all := make(map[FlowID]Usage)
	for {
		m, err := readMessage(rw)
		if err != nil {
			return nil, err
		}
		switch m.kind() {
		case of.Type_Hello:
			if m[0] < version15 {
				return nil, ErrNoTimes
			}
		case of.Type_EchoRequest:
			m[1] = of.Type_EchoReply
			if _, err := rw.Write(m); err != nil {
				return nil, err
			}
		case of.Type_Error:
			if e := parseError(m); e.Type != of.ET_HELLO_FAILED {
				return nil, e
			}
			return nil, ErrNoTimes
		default:
			if more, err := parseUsage(m, all); err != nil || !more {
				return all, err
			}
		}
	}
}

// hello15 offers OpenFlow 1.5 and nothing else.
func hello15() []byte {
	const versionBitmap = 1 // OFPHET_VERSIONBITMAP
	b := []byte{version15, of.Type_Hello, 0, headerLen + 8, 0, 0, 0, 1}
	b = binary.BigEndian.AppendUint16(b, versionBitmap)
	b = binary.BigEndian.AppendUint16(b, 8)
	return binary.BigEndian.AppendUint32(b, 1<<version15)
}

// usageRequest asks for OFPMP_FLOW_DESC of vifguard's flows in all tables.
func usageRequest() []byte {
	const any32 = 0xffffffff // OFPP_ANY, OFPG_ANY
	b := []byte{version15, of.Type_MultiPartRequest, 0, 0, 0, 0, 0, 2}
	b = binary.BigEndian.AppendUint16(b, of.MultipartType_Flow)
	b = append(b, 0, 0, 0, 0, 0, 0)             // flags, padding
	b = append(b, of.OFPTT_ALL, 0, 0, 0)        // table, padding
	b = binary.BigEndian.AppendUint32(b, any32) // out_port
	b = binary.BigEndian.AppendUint32(b, any32) // out_group
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, flows.CookiePrefix)
	b = binary.BigEndian.AppendUint64(b, flows.CookieMask)
	b = append(b, 0, of.MatchType_OXM, 0, 4, 0, 0, 0, 0) // matches everything
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// parseUsage reads one part of the reply into all; more says that further parts follow.
func parseUsage(m message, all map[FlowID]Usage) (more bool, err error) {
	switch {
	case m[0] != version15:
		return false, fmt.Errorf("message in OpenFlow wire version %d where %d was agreed", m[0], version15)
	case m.kind() != of.Type_MultiPartReply:
		return false, fmt.Errorf("message type %d where flows were asked for", m.kind())
	case len(m) < multipartLen:
		return false, errTruncated
	}
	if kind := binary.BigEndian.Uint16(m[headerLen:]); kind != of.MultipartType_Flow {
		return false, fmt.Errorf("multipart reply of type %d where flows were asked for", kind)
	}
	for body := m[multipartLen:]; len(body) > 0; {
		if len(body) < flowDescLen {
			return false, errTruncated
		}
		n := int(binary.BigEndian.Uint16(body))
		if n < flowDescLen || n > len(body) {
			return false, errTruncated
		}
		id, u, err := parseFlowDesc(body[:n])
		if err != nil {
			return false, err
		}
		all[id] = u
		body = body[n:]
	}
	return binary.BigEndian.Uint16(m[headerLen+2:])&of.OFPMPF_REPLY_MORE != 0, nil
}

// parseFlowDesc reads one ofp_flow_desc.
func parseFlowDesc(b []byte) (id FlowID, u Usage, err error) {
	match, rest, err := cutPadded(b[flowDescLen:])
	if err != nil {
		return id, u, err
	}
	stats, _, err := cutPadded(rest)
	if err != nil {
		return id, u, err
	}
	id.Table = b[4]
	id.Priority = binary.BigEndian.Uint16(b[6:])
	id.Cookie = binary.BigEndian.Uint64(b[16:])
	if id.Match, err = match13(match); err != nil {
		return id, u, err
	}
	u, err = parseOXS(stats[4:])
	return id, u, err
}

// cutPadded cuts off a structure whose length, without its padding to a multiple of 8,
// stands in its second 16 bits, as in ofp_match and ofp_stats.
func cutPadded(b []byte) (head, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errTruncated
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	padded := (n + 7) / 8 * 8
	if n < 4 || padded > len(b) {
		return nil, nil, errTruncated
	}
	return b[:n], b[padded:], nil
}

// parseOXS reads the fields of an ofp_stats; those it doesn't know are skipped.
func parseOXS(b []byte) (u Usage, err error) {
	for len(b) > 0 {
		h, value, rest, err := cutField(b)
		if err != nil {
			return u, err
		}
		if h.class == oxsClassBasic && len(value) == 8 {
			switch h.field {
			case oxsDuration:
				u.Age = seconds(value)
			case oxsIdleTime:
				u.Idle = seconds(value)
			case oxsPacketCount:
				u.Packets = binary.BigEndian.Uint64(value)
			}
		}
		b = rest
	}
	return u, nil
}

func seconds(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b))*time.Second + time.Duration(binary.BigEndian.Uint32(b[4:]))
}

// cutField cuts the first field off a list of OXM or OXS fields; value includes a mask.
func cutField(b []byte) (h oxm, value, rest []byte, err error) {
	if len(b) < 4 || len(b) < 4+int(b[3]) {
		return h, nil, nil, errTruncated
	}
	h = oxm{class: binary.BigEndian.Uint16(b), field: b[2] >> 1}
	return h, b[4 : 4+int(b[3])], b[4+int(b[3]):], nil
}

// match13 returns a match of OpenFlow 1.5 as Open vSwitch writes it in 1.3. Only
// registers differ: 1.5 has them in pairs (OXM_OF_PKT_REG<N>, section 7.2.3.10).
func match13(match []byte) (string, error) {
	out := append([]byte(nil), match[:4]...)
	for b := match[4:]; len(b) > 0; {
		h, value, rest, err := cutField(b)
		if err != nil {
			return "", err
		}
		if h.class == oxmClassPacketRegs {
			out, err = appendRegisters(out, h.field, b[2]&1 != 0, value)
			if err != nil {
				return "", err
			}
		} else {
			out = append(out, b[:4+len(value)]...)
		}
		b = rest
	}
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	return string(out), nil
}

const oxmClassPacketRegs = 0x8001 // OFPXMC_PACKET_REGS

// appendRegisters appends both halves of a packet register as far as they matter.
func appendRegisters(out []byte, pair uint8, masked bool, value []byte) ([]byte, error) {
	mask := []byte{255, 255, 255, 255, 255, 255, 255, 255}
	if masked {
		if len(value) != 16 {
			return nil, errTruncated
		}
		value, mask = value[:8], value[8:]
	}
	if len(value) != 8 || pair > 7 {
		return nil, errTruncated
	}
	for half := range 2 {
		v, m := value[4*half:4*half+4], mask[4*half:4*half+4]
		field := (of.NXM_NX_REG0 + 2*pair + uint8(half)) << 1
		switch binary.BigEndian.Uint32(m) {
		case 0:
		case 0xffffffff:
			out = binary.BigEndian.AppendUint16(out, of.OXM_CLASS_NXM_1)
			out = append(append(out, field, 4), v...)
		default:
			out = binary.BigEndian.AppendUint16(out, of.OXM_CLASS_NXM_1)
			out = append(append(append(out, field|1, 8), v...), m...)
		}
	}
	return out, nil
}
