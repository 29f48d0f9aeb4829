package openflow

import (
	"context"
	"fmt"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// Barrier returns after the switch has carried out everything sent before.
func (c *Conn) Barrier(ctx context.Context) error {
	return c.simple(ctx, func(xid uint32) ([]byte, error) { return header(of.Type_BarrierRequest, xid), nil },
		func(m message) (bool, error) { return true, expect(m, of.Type_BarrierReply) })
}

// simple sends one message and waits for its answer.
func (c *Conn) simple(ctx context.Context, encode func(xid uint32) ([]byte, error), handle func(message) (bool, error)) error {
	return c.send(ctx, 1, func(xid uint32) error {
		b, err := encode(xid)
		if err != nil {
			return err
		}
		_, err = c.w.Write(b)
		return err
	}, handle)
}

// expect returns an error unless the message is of this kind.
func expect(m message, kind uint8) error {
	switch m.kind() {
	case kind:
		return nil
	case of.Type_Error:
		return parseError(m)
	}
	return fmt.Errorf("message type %d where %d was expected", m.kind(), kind)
}

// Flows returns the flows of all tables whose cookie equals cookie in the bits of
// mask, with their counters, in no particular order.
func (c *Conn) Flows(ctx context.Context, cookie, mask uint64) ([]Flow, error) {
	return c.TableFlows(ctx, of.OFPTT_ALL, cookie, mask)
}

// TableFlows is [Conn.Flows] of one table.
func (c *Conn) TableFlows(ctx context.Context, table uint8, cookie, mask uint64) ([]Flow, error) {
	var all []Flow
	err := c.simple(ctx, func(xid uint32) ([]byte, error) { return flowStatsRequest(table, cookie, mask, xid) },
		func(m message) (bool, error) {
			part, more, err := parseFlowStats(m)
			all = append(all, part...)
			return !more, err
		})
	if err != nil {
		return nil, fmt.Errorf("dump flows: %w", err)
	}
	return all, nil
}

// CookieFlows returns the flows of all tables that have one of the cookies, as
// [Conn.Flows] does. Open vSwitch has an index of whole cookies, so this costs it what it
// finds, while Flows with a mask walks through all flows of the bridge.
func (c *Conn) CookieFlows(ctx context.Context, cookies ...uint64) ([]Flow, error) {
	if len(cookies) == 0 {
		return nil, nil
	}
	var all []Flow
	pending := len(cookies)
	err := c.send(ctx, len(cookies), func(first uint32) error {
		for i, cookie := range cookies {
			b, err := flowStatsRequest(of.OFPTT_ALL, cookie, ^uint64(0), first+uint32(i))
			if err == nil {
				_, err = c.w.Write(b)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func(m message) (bool, error) {
		part, more, err := parseFlowStats(m)
		all = append(all, part...)
		if !more {
			pending--
		}
		return pending == 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("dump flows by cookie: %w", err)
	}
	return all, nil
}

// OwnFlows returns vifguard's flows of all tables.
func (c *Conn) OwnFlows(ctx context.Context) ([]Flow, error) {
	return c.Flows(ctx, flows.CookiePrefix, flows.CookieMask)
}

// Foreign returns those of the flows that aren't vifguard's.
func Foreign(all []Flow) (list []flows.Entry) {
	for i := range all {
		if _, _, own := flows.SplitCookie(all[i].Cookie); !own {
			list = append(list, all[i].Entry)
		}
	}
	return list
}

// Fragment modes of a switch: OpenFlow 1.3 section 7.3.2, and nicira-ext.h for nx-match.
const (
	FragNormal  uint16 = of.C_FRAG_NORMAL
	FragNXMatch uint16 = 3
)

// FragmentMode returns how the switch treats IP fragments.
func (c *Conn) FragmentMode(ctx context.Context) (mode uint16, err error) {
	err = c.simple(ctx, func(xid uint32) ([]byte, error) { return header(of.Type_GetConfigRequest, xid), nil },
		func(m message) (bool, error) {
			err := expect(m, of.Type_GetConfigReply)
			if err == nil {
				mode, err = parseConfig(m)
			}
			return true, err
		})
	return mode & of.C_FRAG_MASK, err
}

// SetFragmentMode sets how the switch treats IP fragments and returns once that is in
// force.
func (c *Conn) SetFragmentMode(ctx context.Context, mode uint16) error {
	return c.send(ctx, 2, func(xid uint32) error {
		b, err := setConfig(mode, c.missSendLen(), xid)
		if err != nil {
			return err
		}
		_, err = c.w.Write(append(b, header(of.Type_BarrierRequest, xid+1)...))
		return err
	}, func(m message) (bool, error) { return true, expect(m, of.Type_BarrierReply) })
}

// RejectedError says that the switch refused a change. Nothing of the bundle that
// held it was applied.
type RejectedError struct {
	Change flows.Change
	Err    *SwitchError
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("the switch refused to %s the flow with cookie 0x%x in table %d: %v", e.Change.Op, e.Change.Entry.Cookie, e.Change.Entry.Table, e.Err)
}

func (e *RejectedError) Unwrap() error { return e.Err }

// Commit applies changes as one atomic, ordered bundle (ONF extension 230) and waits
// for the barrier behind it: every packet sees either all of them or none. When the
// switch refuses one, it returns a *RejectedError and nothing has changed.
func (c *Conn) Commit(ctx context.Context, changes []flows.Change) error {
	if len(changes) == 0 {
		return nil
	}
	b := &bundle{changes: changes}
	// Open vSwitch would commit the good part of a bundle with a bad message in it, so
	// every message's verdict is awaited before the commit. Errors of adds arrive before
	// the answer to close.
	if err := c.send(ctx, len(changes)+2, func(first uint32) error { return b.fill(c, first) }, b.closing); err != nil {
		return fmt.Errorf("open a bundle of %d changes: %w", len(changes), err)
	}
	if b.rejected != nil {
		err := c.control(ctx, b.id, of.OFPBCT_DISCARD_REQUEST, of.OFPBCT_DISCARD_REPLY)
		if err != nil {
			return fmt.Errorf("discard a bundle: %w", err)
		}
		return b.rejected
	}
	return c.commit(ctx, b)
}

// bundle is a bundle on its way to the switch.
type bundle struct {
	id       uint32
	changes  []flows.Change
	firstAdd uint32 // xid of the first change
	rejected *RejectedError
}

// fill opens the bundle, adds every change, and asks to close it.
func (b *bundle) fill(c *Conn, first uint32) error {
	c.bundles++
	b.id = c.bundles
	b.firstAdd = first + 1
	write := func(m []byte, err error) error {
		if err == nil {
			_, err = c.w.Write(m)
		}
		return err
	}
	if err := write(bundleControl(b.id, of.OFPBCT_OPEN_REQUEST, first)); err != nil {
		return err
	}
	var add []byte
	for i := range b.changes {
		var err error
		add, err = appendBundleAdd(add[:0], b.id, &b.changes[i], b.firstAdd+uint32(i))
		if err := write(add, err); err != nil {
			return err
		}
	}
	return write(bundleControl(b.id, of.OFPBCT_CLOSE_REQUEST, b.firstAdd+uint32(len(b.changes))))
}

// closing handles what the switch answers until the bundle is closed.
func (b *bundle) closing(m message) (bool, error) {
	if kind, ok := parseBundleControl(m); ok {
		return kind == of.OFPBCT_CLOSE_REPLY, nil
	}
	if m.kind() != of.Type_Error {
		return true, fmt.Errorf("message type %d inside a bundle", m.kind())
	}
	if b.reject(m) {
		return false, nil
	}
	return true, parseError(m)
}

// reject notes the first change that the switch refused; it returns false when the
// error isn't about a change.
func (b *bundle) reject(m message) bool {
	i := int(m.xid()) - int(b.firstAdd)
	if i < 0 || i >= len(b.changes) {
		return false
	}
	if b.rejected == nil {
		b.rejected = &RejectedError{Change: b.changes[i], Err: parseError(m)}
	}
	return true
}

// commit commits a closed bundle and waits for the barrier behind it, both asked for at
// once. Errors found only now carry the xid of the change, followed by one for the
// commit itself; nothing is applied then.
func (c *Conn) commit(ctx context.Context, b *bundle) error {
	watch := c.watch(b)
	defer watch()
	answers := 0
	err := c.send(ctx, 2, func(xid uint32) error {
		m, err := bundleControl(b.id, of.OFPBCT_COMMIT_REQUEST, xid)
		if err != nil {
			return err
		}
		_, err = c.w.Write(append(m, header(of.Type_BarrierRequest, xid+1)...))
		return err
	}, func(m message) (bool, error) {
		if answers++; answers == 2 {
			return true, expect(m, of.Type_BarrierReply)
		}
		err := expectControl(m, of.OFPBCT_COMMIT_REPLY)
		return err != nil, err
	})
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.rejected != nil && c.err == nil {
		return b.rejected
	}
	return fmt.Errorf("commit a bundle of %d changes: %w", len(b.changes), err)
}

// watch listens for errors about the bundle's changes until the returned function is
// called.
func (c *Conn) watch(b *bundle) (stop func()) {
	r := &request{
		first: b.firstAdd, last: b.firstAdd + uint32(len(b.changes)) - 1,
		handle: func(m message) (bool, error) { b.reject(m); return false, nil },
		result: make(chan error, 1),
	}
	c.mu.Lock()
	c.waiting = append(c.waiting, r)
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, w := range c.waiting {
			if w == r {
				c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
				return
			}
		}
	}
}

// control sends a bundle control message and waits for its answer.
func (c *Conn) control(ctx context.Context, id uint32, request, reply uint16) error {
	return c.simple(ctx, func(xid uint32) ([]byte, error) { return bundleControl(id, request, xid) },
		func(m message) (bool, error) { return true, expectControl(m, reply) })
}

// expectControl returns an error unless the message is a bundle control message of this
// kind.
func expectControl(m message, kind uint16) error {
	got, ok := parseBundleControl(m)
	switch {
	case ok && got == kind:
		return nil
	case m.kind() == of.Type_Error:
		return parseError(m)
	case ok:
		return fmt.Errorf("bundle control message %d where %d was expected", got, kind)
	}
	return fmt.Errorf("message type %d where bundle control message %d was expected", m.kind(), kind)
}

// Release deletes vifguard's flows from all tables in one bundle and, if there were
// any, gives fragments back to the switch's default treatment. It returns the number
// of flows deleted, and is safe on a bridge that was never guarded: that one is only
// read.
func (c *Conn) Release(ctx context.Context) (int, error) {
	own, err := c.OwnFlows(ctx)
	if err != nil {
		return 0, err
	}
	if len(own) == 0 {
		return 0, c.deleteOwnMeters(ctx)
	}
	have := make([]flows.Entry, len(own))
	for i, f := range own {
		have[i] = f.Entry
	}
	if err := c.Commit(ctx, flows.Diff(nil, have)); err != nil {
		return 0, err
	}
	if err := c.deleteOwnMeters(ctx); err != nil {
		return 0, err
	}
	mode, err := c.FragmentMode(ctx)
	if err == nil && mode == FragNXMatch {
		err = c.SetFragmentMode(ctx, FragNormal)
	}
	return len(own), err
}
