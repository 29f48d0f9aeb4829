package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

var errTruncated = errors.New("truncated message")

// Flow is a flow of the switch with its counters.
type Flow struct {
	flows.Entry
	Packets uint64
	Bytes   uint64
	Age     time.Duration // since it was added
}

// parseFlowStats reads one part of a flow multipart reply; more says that further
// parts follow. It copies what it keeps.
func parseFlowStats(m message) (list []Flow, more bool, err error) {
	body, more, err := parseMultipart(m, of.MultipartType_Flow)
	if err != nil {
		return nil, false, err
	}
	all := string(body) // one copy for all of them: they live and die together
	list = make([]Flow, 0, countFlowStats(body))
	for at := 0; at < len(all); {
		body := body[at:]
		if len(body) < flowStatsLen {
			return nil, false, errTruncated
		}
		n := int(binary.BigEndian.Uint16(body))
		if n < flowStatsLen || n > len(body) {
			return nil, false, errTruncated
		}
		f, err := parseFlow(body[:n], all[at:at+n])
		if err != nil {
			return nil, false, err
		}
		list = append(list, f)
		at += n
	}
	return list, more, nil
}

// countFlowStats returns about how many flows a multipart reply holds.
func countFlowStats(body []byte) (n int) {
	for len(body) >= flowStatsLen {
		size := max(int(binary.BigEndian.Uint16(body)), flowStatsLen)
		body = body[min(size, len(body)):]
		n++
	}
	return n
}

// parseFlow reads one ofp_flow_stats, of which text is a copy to keep.
func parseFlow(b []byte, text string) (Flow, error) {
	rest, text := b[flowStatsLen:], text[flowStatsLen:]
	if len(rest) < 4 {
		return Flow{}, errTruncated
	}
	matchLen := (int(binary.BigEndian.Uint16(rest[2:])) + 7) / 8 * 8
	if matchLen < 8 || matchLen > len(rest) {
		return Flow{}, errTruncated
	}
	return Flow{
		Entry: flows.Entry{
			Key: flows.Key{
				Table:    b[2],
				Priority: binary.BigEndian.Uint16(b[12:]),
				Match:    text[:matchLen],
			},
			Cookie:       binary.BigEndian.Uint64(b[24:]),
			Instructions: text[matchLen:],
			Timeout:      binary.BigEndian.Uint16(b[16:]),
		},
		Packets: binary.BigEndian.Uint64(b[32:]),
		Bytes:   binary.BigEndian.Uint64(b[40:]),
		Age:     time.Duration(binary.BigEndian.Uint32(b[4:]))*time.Second + time.Duration(binary.BigEndian.Uint32(b[8:])),
	}, nil
}

// SwitchError is an error that the switch answered with (OpenFlow 1.3 section 7.4.4).
type SwitchError struct {
	Type, Code   uint16
	Experimenter uint32 // 0 for OpenFlow's own errors
}

func (e *SwitchError) Error() string {
	if e.Experimenter != 0 {
		return fmt.Sprintf("the switch answered with error %d of experimenter 0x%x", e.Code, e.Experimenter)
	}
	return fmt.Sprintf("the switch answered with error type %d code %d", e.Type, e.Code)
}

// AboutMeter reports whether a flow or a meter was refused because of a meter, such as
// one that isn't there.
func (e *SwitchError) AboutMeter() bool {
	return e.Type == of.ET_METER_MOD_FAILED && e.Experimenter == 0
}

// AboutTable reports whether a flow was refused because of the table that it was meant
// for, such as one that is full, and not because of what it says.
func (e *SwitchError) AboutTable() bool {
	return e.Type == of.ET_FLOW_MOD_FAILED && e.Experimenter == 0
}

// experimenterError is the error type of errors that an experimenter defines; its
// code is the experimenter's own type, the experimenter follows (OpenFlow 1.3 A.4.4).
const experimenterError = 0xffff

func parseError(m message) *SwitchError {
	if len(m) < errorLen {
		return &SwitchError{}
	}
	e := &SwitchError{Type: binary.BigEndian.Uint16(m[headerLen:]), Code: binary.BigEndian.Uint16(m[headerLen+2:])}
	if e.Type == experimenterError && len(m) >= errorLen+4 {
		e.Experimenter = binary.BigEndian.Uint32(m[errorLen:])
	}
	return e
}

// parseBundleControl returns the type of a bundle control message; ok is false when
// the message is something else.
func parseBundleControl(m message) (kind uint16, ok bool) {
	if m.kind() != of.Type_Experimenter || len(m) < bundleControlLen {
		return 0, false
	}
	vendor := binary.BigEndian.Uint32(m[headerLen:])
	sub := binary.BigEndian.Uint32(m[headerLen+4:])
	return binary.BigEndian.Uint16(m[experimenterLen+4:]), vendor == of.ONF_EXPERIMENTER_ID && sub == of.Type_BundleCtrl
}

// parseConfig returns the flags of a get-config reply.
func parseConfig(m message) (uint16, error) {
	if len(m) < configLen {
		return 0, errTruncated
	}
	return binary.BigEndian.Uint16(m[headerLen:]), nil
}
