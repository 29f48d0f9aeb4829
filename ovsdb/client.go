package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ovn-org/libovsdb/cache"
	"github.com/ovn-org/libovsdb/client"
	ovsmodel "github.com/ovn-org/libovsdb/model"
	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/model"
)

// Deadlines of calls whose context has none.
const (
	dialTimeout  = 10 * time.Second
	applyTimeout = 5 * time.Second
	pingTimeout  = 3 * time.Second

	closeTimeout = time.Second // how long Close waits for libovsdb's goroutines
)

// Client is one connection to ovsdb-server with a replica of the columns vifguard
// reads. It never reconnects: when Done is closed, Close it and Dial again. All
// methods may be called from several goroutines.
type Client struct {
	lib     client.Client
	cache   *cache.TableCache
	changed chan struct{}
	only    string // name of the only interface to replicate; "" for all

	alive     context.Context // ends with the connection; ends calls in flight
	kill      context.CancelFunc
	closeOnce sync.Once
	abandon   chan struct{} // tells watch not to wait for libovsdb any longer
	watched   chan struct{} // closed when watch has returned

	dirtyMu sync.Mutex
	dirty   dirty

	viewMu sync.Mutex
	view   *view
}

// Dial connects to endpoint (unix:/path or tcp:host:port) and returns
// when the replica is complete. A ctx without deadline gets one of 10 s; ctx has no
// meaning for the Client after Dial returned. The error is a sentence that says what
// is wrong; it wraps fs.ErrNotExist, fs.ErrPermission, syscall.ECONNREFUSED,
// ErrNoDatabase or context.DeadlineExceeded where that is the cause.
func Dial(ctx context.Context, endpoint string, log *logrus.Entry) (*Client, error) {
	return newClient(make(chan struct{}, 1), nil).dial(ctx, endpoint, log)
}

// DialInterface is [Dial] for whoever asks about one interface, which needn't exist yet: the
// replica has all bridges, but of their interfaces at most the one with that name, and
// changes of others aren't reported. At a thousand interfaces it costs a fraction.
func DialInterface(ctx context.Context, endpoint, name string, log *logrus.Entry) (*Client, error) {
	c := newClient(make(chan struct{}, 1), nil)
	c.only = name
	return c.dial(ctx, endpoint, log)
}

// newClient lets a Source pass its own trigger and the view of the generation before.
func newClient(changed chan struct{}, seed *model.Host) *Client {
	return &Client{changed: changed, view: newView(seed)}
}

func (c *Client) dial(ctx context.Context, endpoint string, log *logrus.Entry) (*Client, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	ctx, cancel := withDeadline(ctx, dialTimeout)
	defer cancel()
	c.alive, c.kill = context.WithCancel(context.Background())
	c.dirty.all = true
	if err := c.connect(ctx, endpoint, log); err != nil {
		c.kill()
		if end := ctx.Err(); end != nil && !errors.Is(err, end) {
			err = fmt.Errorf("%w: %w", end, err) // libovsdb doesn't always wrap it
		}
		return nil, dialError(endpoint, err)
	}
	trigger(c.changed)
	return c, nil
}

func (c *Client) connect(ctx context.Context, endpoint string, log *logrus.Entry) error {
	err := c.connectTo(ctx, endpoint, log, rowTypes(false))
	if err != nil && lacksColumns(err) {
		return c.connectTo(ctx, endpoint, log, rowTypes(true))
	}
	return err
}

// lacksColumns reports whether a server refused the model because its schema lacks some
// table or column.
func lacksColumns(err error) bool { return strings.Contains(err.Error(), "validation error") }

func (c *Client) connectTo(ctx context.Context, endpoint string, log *logrus.Entry, types map[Table]ovsmodel.Model) error {
	dbModel, err := clientModel(types)
	if err != nil {
		return err
	}
	logger := newLibLog(orDiscard(log), c.Resync)
	c.lib, err = client.NewOVSDBClient(dbModel, client.WithEndpoint(endpoint), client.WithLogger(&logger))
	if err != nil {
		return err
	}
	// The notification isn't sent unless somebody waits for it: listen first.
	c.abandon, c.watched = make(chan struct{}), make(chan struct{})
	go c.watch(c.lib.DisconnectNotify(), c.abandon, c.watched)
	if err := c.lib.Connect(ctx); err != nil {
		close(c.abandon) // never connected, so nothing will be notified
		return err
	}
	if err := c.monitor(ctx, types); err != nil {
		c.Close()
		return err
	}
	return nil
}

// monitor subscribes to the columns and fills the replica.
func (c *Client) monitor(ctx context.Context, types map[Table]ovsmodel.Model) error {
	m := &client.Monitor{
		// Not monitor_cond_since: a standalone server never has the history for
		// it, and libovsdb ignores errors in its updates, while an error in an
		// update of monitor_cond ends the connection.
		Method: libovsdb.ConditionalMonitorRPC,
	}
	for table, row := range types {
		t := client.TableMonitor{Table: string(table), Fields: columnsOf(row)}
		if table == TableInterface && c.only != "" {
			t.Conditions = []libovsdb.Condition{libovsdb.NewCondition("name", libovsdb.ConditionEqual, c.only)}
		}
		m.Tables = append(m.Tables, t)
	}
	if _, err := c.lib.Monitor(ctx, m); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	if c.cache = c.lib.Cache(); c.cache == nil {
		return ErrNotConnected
	}
	// After Monitor, to be spared an event per row: the first Host reads all anyway.
	c.cache.AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    c.mark,
		UpdateFunc: func(table string, _, row ovsmodel.Model) { c.mark(table, row) },
		DeleteFunc: c.mark,
	})
	return nil
}

// watch ends the generation when the connection is lost.
func (c *Client) watch(lost, abandon <-chan struct{}, watched chan<- struct{}) {
	defer close(watched)
	select {
	case <-lost:
		c.kill()
	case <-abandon:
	}
}

// Changed is a level trigger of capacity 1: after a receive, something in the
// replica may have changed since the last Host. It fires once after Dial.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// Done is closed when the connection is lost or closed. The replica then stays as it was.
func (c *Client) Done() <-chan struct{} { return c.alive.Done() }

// Close ends the connection, and with it all calls in flight. It is idempotent.
func (c *Client) Close() {
	c.closeOnce.Do(func() {
		lost := c.alive.Err() != nil
		c.kill()
		// libovsdb's Close waits for calls in flight, and one of these can be
		// stuck in a write to a stopped server: don't wait with it for ever.
		go c.lib.Close()
		if lost {
			return
		}
		timeout := time.NewTimer(closeTimeout)
		defer timeout.Stop()
		select {
		case <-c.watched:
		case <-timeout.C:
			close(c.abandon)
		}
	})
}

// Ping checks that the server answers. A ctx without deadline gets one of 3 s.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx, pingTimeout)
	defer cancel()
	_, err := call(ctx, c, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.lib.Echo(ctx)
	})
	if err != nil {
		return fmt.Errorf("ping ovsdb-server: %w", err)
	}
	return nil
}

// Host returns the current view. It is immutable: a row that didn't change keeps its
// *model.Interface, a bridge of which nothing changed its *model.Bridge, and a host
// of which nothing changed the *model.Host. Only rows that changed are read again.
// A reference to a row that isn't in the replica (yet) is skipped.
func (c *Client) Host() *model.Host {
	c.viewMu.Lock()
	defer c.viewMu.Unlock()
	// Take the marks first: what changes from here on is marked again.
	c.dirtyMu.Lock()
	d := c.dirty
	c.dirty = dirty{}
	c.dirtyMu.Unlock()
	if d.empty() {
		return c.view.host
	}
	return c.view.refresh(cacheReplica{c.cache}, d)
}

// RootUUID returns the UUID of the Open_vSwitch row, or "" if the database has none yet.
func (c *Client) RootUUID() string {
	if root := (cacheReplica{c.cache}).root(); root != nil {
		return root.UUID
	}
	return ""
}

// Resync makes the next Host read every row again. Values of equal rows stay.
func (c *Client) Resync() {
	c.dirtyMu.Lock()
	c.dirty.all = true
	c.dirtyMu.Unlock()
	trigger(c.changed)
}

// mark is called by libovsdb for each event. It must not block: libovsdb drops
// events, and never finishes a disconnect, while a handler waits.
func (c *Client) mark(table string, row ovsmodel.Model) {
	c.markUUID(Table(table), rowUUID(row))
	trigger(c.changed)
}

func (c *Client) markUUID(table Table, uuid string) {
	c.dirtyMu.Lock()
	c.dirty.add(table, uuid)
	c.dirtyMu.Unlock()
}

// call runs f with a context that ends with the connection. It returns when ctx
// ends even if f doesn't: libovsdb looks at no context while it writes.
func call[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.alive, cancel)()
	done := make(chan result, 1)
	go func() {
		v, err := f(ctx)
		done <- result{v, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		r.err = ctx.Err()
	}
	switch {
	case r.err == nil:
	case c.alive.Err() != nil || isLost(r.err):
		r.err = ErrNotConnected
	case ctx.Err() != nil:
		r.err = ctx.Err()
	}
	return r.value, r.err
}

func withDeadline(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// trigger fires a capacity-1 channel; one that is fired already stays so.
func trigger(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func orDiscard(log *logrus.Entry) *logrus.Entry {
	if log != nil {
		return log
	}
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}
