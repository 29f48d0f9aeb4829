package openflow

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	of "github.com/contiv/libOpenflow/openflow13"
)

// bufferSize is what one write or read takes at most, in bytes: large bundles and
// flow dumps cost few system calls.
const bufferSize = 256 << 10

// Conn is one OpenFlow 1.3 session over a bridge's management socket. Management
// connections are service connections: they neither count as controllers, nor change
// how fail_mode works, nor receive asynchronous messages (ovs-vswitchd.conf.db(5)).
//
// Its methods may be called from several goroutines; requests are answered in the
// order in which they were sent.
type Conn struct {
	conn net.Conn

	writing sync.Mutex // held while a request is written
	w       *bufio.Writer
	nextXID uint32
	bundles uint32 // bundle identifiers used so far

	disturbed chan struct{}           // capacity 1
	samples   atomic.Pointer[samples] // nil until Subscribe

	mu       sync.Mutex
	waiting  []*request
	concerns func(FlowUpdate) bool // nil unless flows are watched
	err      error
	done     chan struct{}
}

// request is a request whose answers are still to come. handle is called by the
// reading goroutine for every message whose xid is in range, in order, and returns
// true with the last one.
type request struct {
	first, last uint32
	handle      func(message) (bool, error)
	result      chan error
}

// Dial connects to a management socket and negotiates OpenFlow 1.3. It fails with a
// *SwitchError when the bridge doesn't speak that version.
func Dial(ctx context.Context, path string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to the bridge's management socket: %w", err)
	}
	c := &Conn{conn: nc, w: bufio.NewWriterSize(nc, bufferSize), nextXID: 1, disturbed: make(chan struct{}, 1), done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	r := bufio.NewReaderSize(nc, bufferSize)
	err = c.handshake(r)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open an OpenFlow 1.3 session at %s: %w", path, err)
	}
	go c.read(r)
	if err := c.Barrier(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("open an OpenFlow 1.3 session at %s: %w", path, err)
	}
	return c, nil
}

// handshake exchanges HELLO messages. Ours has no version bitmap, so it offers version
// 1.3 and lower; whether the switch agreed to 1.3 shows in its answer to the first
// request.
func (c *Conn) handshake(r io.Reader) error {
	if _, err := c.conn.Write(header(of.Type_Hello, c.nextXID)); err != nil {
		return err
	}
	c.nextXID++
	m, err := readMessage(r)
	if err != nil {
		return err
	}
	if m.kind() == of.Type_Error {
		return parseError(m)
	}
	if m.kind() != of.Type_Hello {
		return fmt.Errorf("the switch said message type %d where a hello was expected", m.kind())
	}
	if m[0] < of.VERSION && len(m) == headerLen {
		return fmt.Errorf("the switch speaks only OpenFlow wire version %d", m[0])
	}
	return nil
}

// readMessage reads one message. The framing is the only thing that is trusted, and
// that only after its length has been checked.
func readMessage(r io.Reader) (message, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(h[2:])
	if n < headerLen {
		return nil, fmt.Errorf("message with a length of %d", n)
	}
	m := make(message, n)
	copy(m, h[:])
	_, err := io.ReadFull(r, m[headerLen:])
	return m, err
}

// read is the reading goroutine. It ends when the connection does.
func (c *Conn) read(r io.Reader) {
	for {
		m, err := readMessage(r)
		if err == nil && m[0] != of.VERSION && m.kind() != of.Type_Hello && !isMonitorGap(m) { // old switches say that in version 1.0
			err = fmt.Errorf("message in OpenFlow wire version %d where %d was agreed", m[0], of.VERSION)
		}
		if err == nil && m.kind() == of.Type_Error && parseError(m).Type == of.ET_HELLO_FAILED {
			err = fmt.Errorf("the bridge doesn't speak OpenFlow 1.3: %w", parseError(m))
		}
		if err != nil {
			c.fail(err)
			return
		}
		if m.kind() == of.Type_EchoRequest {
			go c.echo(m) // reading must go on while a large request is being written
			continue
		}
		if !c.sampled(m) && !c.dispatch(m) {
			c.notice(m)
		}
	}
}

// echo answers the switch's probe with the probe's own payload.
func (c *Conn) echo(m message) {
	m[1] = of.Type_EchoReply
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.w.Write(m)
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil {
		c.fail(err)
	}
}

// dispatch hands a message to the request that waits for it; it returns false when none
// does.
func (c *Conn) dispatch(m message) bool {
	xid := m.xid()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range c.waiting {
		if xid < r.first || xid > r.last {
			continue
		}
		if done, err := r.handle(m); done || err != nil {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			r.result <- err
		}
		return true
	}
	return false
}

// fail ends the session and every request.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	defer c.conn.Close() // only now, so that the reader's error doesn't hide this one
	if errors.Is(err, io.EOF) {
		err = errors.New("the switch closed the connection")
	}
	c.err = fmt.Errorf("OpenFlow session lost: %w", err)
	for _, r := range c.waiting {
		r.result <- c.err
	}
	c.waiting = nil
	close(c.done)
}

// Close ends the session. Flows stay.
func (c *Conn) Close() { c.fail(net.ErrClosed) }

// Done is closed when the session has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the session ended; nil while it is open.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// send writes messages with n consecutive xids, from the one that write is given on,
// and waits until handle has seen the last answer. When ctx ends first the session is
// closed: what the switch did with the request isn't known then.
func (c *Conn) send(ctx context.Context, n int, write func(first uint32) error, handle func(message) (bool, error)) error {
	// Before the mutex, which another writer may hold for as long as the switch doesn't read.
	stop := context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })
	defer stop()
	c.writing.Lock()
	first := c.nextXID
	c.nextXID += uint32(n)
	if c.nextXID < first { // wrapped around; 0 stays unused
		first, c.nextXID = 1, 1+uint32(n)
	}
	r := &request{first: first, last: first + uint32(n) - 1, handle: handle, result: make(chan error, 1)}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		c.writing.Unlock()
		return c.err
	}
	c.waiting = append(c.waiting, r)
	c.mu.Unlock()
	err := write(first)
	if err == nil {
		err = c.w.Flush()
	}
	c.writing.Unlock()
	if err != nil {
		c.fail(err)
	}
	return <-r.result
}
