package ovsdb

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cenkalti/rpc2"
	"github.com/cenkalti/rpc2/jsonrpc"
)

// lockName is the OVSDB lock of the agent. A lock belongs to an ovsdb-server, so it is
// one agent for each Open vSwitch whatever containers and namespaces agents run in.
const lockName = "vifguard"

// lockPatience is how long an agent that was killed may take to lose its lock, which
// ovsdb-server releases when it sees the connection gone.
const lockPatience = 2 * time.Second

// LockedError says that another agent works on this Open vSwitch.
type LockedError struct {
	Holder string // what the other agent wrote about itself; "" if it hasn't yet
}

func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "it hasn't said which"
	}
	return fmt.Sprintf("another vifguard agent works on this Open vSwitch (%s); there can only be one", holder)
}

// lock is an OVSDB lock (RFC 7047 section 4.1.8), held for as long as its own
// connection lives. libovsdb has no locks.
type lock struct{ rpc *rpc2.Client }

// acquire takes the lock, waiting for it for as long as patience. A nil lock without an
// error means that another client holds it.
func acquire(ctx context.Context, endpoint string, patience time.Duration) (*lock, error) {
	scheme, address, _ := strings.Cut(endpoint, ":")
	var d net.Dialer
	conn, err := d.DialContext(ctx, scheme, address)
	if err != nil {
		return nil, dialError(endpoint, err)
	}
	c := rpc2.NewClientWithCodec(jsonrpc.NewJSONCodec(conn))
	c.SetBlocking(true)
	granted := make(chan struct{}, 1)
	c.Handle("locked", func(*rpc2.Client, []any, *[]any) error {
		trigger(granted)
		return nil
	})
	c.Handle("stolen", func(*rpc2.Client, []any, *[]any) error { return c.Close() })
	c.Handle("echo", func(_ *rpc2.Client, args []any, reply *[]any) error {
		*reply = args
		return nil
	})
	go c.Run()
	l := &lock{rpc: c}
	var reply struct {
		Locked bool `json:"locked"`
	}
	err = c.CallWithContext(ctx, "lock", []any{lockName}, &reply)
	switch {
	case err != nil:
		l.release()
		return nil, fmt.Errorf("ask ovsdb-server at %s for the lock %q: %w", endpoint, lockName, err)
	case reply.Locked:
		return l, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-granted:
		return l, nil
	case <-l.lost():
		return nil, fmt.Errorf("wait for the lock %q: %w", lockName, ErrNotConnected)
	case <-ctx.Done():
		l.release()
		return nil, ctx.Err()
	case <-timer.C:
		l.release()
		return nil, nil
	}
}

// lost is closed when the lock isn't held any more.
func (l *lock) lost() <-chan struct{} { return l.rpc.DisconnectNotify() }

// release gives the lock back. It is idempotent.
func (l *lock) release() { _ = l.rpc.Close() }

// AgentRuns reports whether an agent works on the Open vSwitch whose ovsdb-server is at
// endpoint.
func AgentRuns(ctx context.Context, endpoint string) (bool, error) {
	ctx, cancel := withDeadline(ctx, dialTimeout)
	defer cancel()
	if err := checkEndpoint(endpoint); err != nil {
		return false, err
	}
	l, err := acquire(ctx, endpoint, 0)
	if l != nil {
		l.release()
	}
	return l == nil && err == nil, err
}
