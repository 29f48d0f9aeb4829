package openflow

import (
	"context"
	"encoding/binary"
	"fmt"

	of "github.com/contiv/libOpenflow/openflow13"
)

// Flow monitors: ONF extension 187, which OpenFlow 1.3 speaks as experimenter multipart
// messages. In the updates struct onf_flow_update_full is Nicira's nx_flow_update_full
// (nicira-ext.h).
const (
	multipartExperimenter = 0xffff // OFPMP_EXPERIMENTER
	monitorType           = 1870   // ONFMP_FLOW_MONITOR

	monitorHeadLen = multipartLen + 8 // of requests and replies, with the experimenter's header
	updateHeadLen  = 4                // length and event of an update
	updateLen      = 24               // nx_flow_update_full without match and instructions

	monitorAdd, monitorDelete, monitorModify = 1 << 1, 1 << 2, 1 << 3
	eventDeleted, eventAbbreviated           = 1, 3

	nxVendor, nxMonitorPaused, nxMonitorResumed = 0x2320, 22, 23
)

// FlowUpdate is a change of one flow that another session made, or the switch itself.
type FlowUpdate struct {
	Table    uint8
	Priority uint16
	Cookie   uint64
	Deleted  bool // it is gone; otherwise it was added or changed
}

// Watch asks the switch to report changes of flows in these tables, except those that
// this session makes. Disturbed fires for each change that concerns returns true for.
// Call it once in a session, before the dump that the changes are to be compared with:
// no change between the two is missed. concerns is called by the reading goroutine and
// must not block.
func (c *Conn) Watch(ctx context.Context, tables []uint8, concerns func(FlowUpdate) bool) error {
	c.mu.Lock()
	c.concerns = concerns
	c.mu.Unlock()
	err := c.simple(ctx, func(xid uint32) ([]byte, error) { return monitorRequest(tables, xid), nil },
		func(m message) (bool, error) { return true, expect(m, of.Type_MultiPartReply) })
	if err != nil {
		return fmt.Errorf("watch the flows: %w", err)
	}
	return nil
}

// Disturbed is a level trigger of capacity 1: after a receive, flows may differ from
// what this session has made them. It never fires without Watch.
func (c *Conn) Disturbed() <-chan struct{} { return c.disturbed }

// monitorRequest encodes one monitor for each table, in one message.
func monitorRequest(tables []uint8, xid uint32) []byte {
	b := header(of.Type_MultiPartRequest, xid)
	b = binary.BigEndian.AppendUint16(b, multipartExperimenter)
	b = append(b, make([]byte, multipartLen-len(b))...)
	b = binary.BigEndian.AppendUint32(b, of.ONF_EXPERIMENTER_ID)
	b = binary.BigEndian.AppendUint32(b, monitorType)
	for i, table := range tables {
		b = binary.BigEndian.AppendUint32(b, uint32(i)) // identifies the monitor
		b = binary.BigEndian.AppendUint16(b, monitorAdd|monitorDelete|monitorModify)
		b = binary.BigEndian.AppendUint16(b, 0) // match_len; an empty ofp_match follows all the same
		b = binary.BigEndian.AppendUint32(b, of.P_ANY)
		b = append(b, table, 0, 0, 0)
		b = append(b, 0, 1, 0, 4, 0, 0, 0, 0) // OFPMT_OXM, a length of 4, padding
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// notice looks at a message that no request waits for.
func (c *Conn) notice(m message) {
	c.mu.Lock()
	concerns := c.concerns
	c.mu.Unlock()
	if concerns == nil {
		return
	}
	if !isMonitorGap(m) {
		updates, err := parseFlowUpdates(m)
		if err != nil {
			c.fail(err)
			return
		}
		if !anyOf(updates, concerns) {
			return
		}
	}
	select {
	case c.disturbed <- struct{}{}:
	default:
	}
}

func anyOf(updates []FlowUpdate, concerns func(FlowUpdate) bool) bool {
	for _, u := range updates {
		if concerns(u) {
			return true
		}
	}
	return false
}

// isMonitorGap reports whether the switch says that it leaves updates out, because they
// are too many, or that it goes on.
func isMonitorGap(m message) bool {
	if m.kind() != of.Type_Experimenter || len(m) < experimenterLen {
		return false
	}
	kind := binary.BigEndian.Uint32(m[headerLen+4:])
	return binary.BigEndian.Uint32(m[headerLen:]) == nxVendor && (kind == nxMonitorPaused || kind == nxMonitorResumed)
}

// parseFlowUpdates reads the updates of a flow monitor reply, without the abbreviated
// ones, which are about changes of this session. It returns none for other messages.
func parseFlowUpdates(m message) ([]FlowUpdate, error) {
	if m.kind() != of.Type_MultiPartReply || len(m) < monitorHeadLen ||
		binary.BigEndian.Uint16(m[headerLen:]) != multipartExperimenter ||
		binary.BigEndian.Uint32(m[multipartLen:]) != of.ONF_EXPERIMENTER_ID ||
		binary.BigEndian.Uint32(m[multipartLen+4:]) != monitorType {
		return nil, nil
	}
	var list []FlowUpdate
	for body := m[monitorHeadLen:]; len(body) > 0; {
		if len(body) < updateHeadLen {
			return nil, errTruncated
		}
		n, event := int(binary.BigEndian.Uint16(body)), binary.BigEndian.Uint16(body[2:])
		if n < updateHeadLen || n > len(body) || (event != eventAbbreviated && n < updateLen) {
			return nil, errTruncated
		}
		if event != eventAbbreviated {
			list = append(list, FlowUpdate{
				Table:    body[14],
				Priority: binary.BigEndian.Uint16(body[6:]),
				Cookie:   binary.BigEndian.Uint64(body[16:]),
				Deleted:  event == eventDeleted,
			})
		}
		body = body[n:]
	}
	return list, nil
}
