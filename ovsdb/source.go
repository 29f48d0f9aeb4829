package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/model"
)

// timing of a Source. Tests shorten it.
type timing struct {
	firstRetry, maxRetry  time.Duration // backoff between attempts
	remind                time.Duration // between two messages that it still waits
	dial, probe, deadPeer time.Duration // limit of an attempt; between probes; limit of a probe
	lock                  time.Duration // limit of waiting for the lock
}

var defaultTiming = timing{
	firstRetry: 100 * time.Millisecond, maxRetry: time.Second,
	remind: 30 * time.Second,
	dial:   dialTimeout, probe: 5 * time.Second, deadPeer: pingTimeout,
	lock: lockPatience,
}

// Source keeps a Client alive across restarts of ovsdb-server, and holds the agent's
// lock with it: there is at most one connected Source for each ovsdb-server. While
// there is no connection it shows the last view. Values of rows that are the same after
// a reconnect keep their pointers. All methods may be called from several goroutines.
type Source struct {
	endpoint string
	log      *logrus.Entry
	timing   timing
	changed  chan struct{}

	mu     sync.Mutex
	client *Client     // nil while disconnected
	last   *model.Host // view of the last Client; nil before the first one
}

// NewSource returns a Source of the server at endpoint. It connects in Run.
func NewSource(endpoint string, log *logrus.Entry) *Source {
	return &Source{endpoint: endpoint, log: orDiscard(log), timing: defaultTiming, changed: make(chan struct{}, 1)}
}

// Run connects, and connects again whenever the connection is lost or the server
// doesn't answer a probe, until ctx ends. It returns nil then, or a *LockedError as soon
// as another agent holds the lock, and has ended what it started. Only one Run at a
// time.
func (s *Source) Run(ctx context.Context) error {
	for {
		g, err := s.connect(ctx)
		if g == nil {
			return err
		}
		err = s.serve(ctx, g)
		s.disconnected(g)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end that was asked for
		}
		s.log.WithError(err).Info("connection to ovsdb-server ended")
	}
}

// generation is one connection together with the lock.
type generation struct {
	*Client
	lock *lock
}

// connect dials until it succeeds. It returns nil when ctx ended or, with an error, when
// another agent holds the lock.
func (s *Source) connect(ctx context.Context) (*generation, error) {
	var said time.Time
	for wait := s.timing.firstRetry; ctx.Err() == nil; wait = min(2*wait, s.timing.maxRetry) {
		g, err := s.dial(ctx)
		if err == nil {
			s.mu.Lock()
			s.client, s.last = g.Client, g.Host()
			s.mu.Unlock()
			s.log.WithField("endpoint", s.endpoint).Info("connected to ovsdb-server")
			trigger(s.changed)
			return g, nil
		}
		var locked *LockedError
		if errors.As(err, &locked) {
			return nil, err
		}
		if ctx.Err() == nil && (said.IsZero() || time.Since(said) >= s.timing.remind) {
			said = time.Now()
			s.log.WithError(err).Warn("waiting for Open vSwitch")
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil, nil
}

func (s *Source) dial(ctx context.Context) (*generation, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.dial)
	defer cancel()
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	c, err := newClient(s.changed, last).dial(ctx, s.endpoint, s.log)
	if err != nil {
		return nil, err
	}
	l, err := s.lock(ctx, c)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &generation{c, l}, nil
}

// lock takes the agent's lock, or says who holds it.
func (s *Source) lock(ctx context.Context, c *Client) (*lock, error) {
	l, err := acquire(ctx, s.endpoint, s.timing.lock)
	if l == nil && err == nil {
		err = &LockedError{Holder: c.Host().Agent}
	}
	return l, err
}

// serve returns why the connection ended. libovsdb notices a closed socket, but not
// a server that is there and doesn't answer, hence the probes.
func (s *Source) serve(ctx context.Context, g *generation) error {
	ticker := time.NewTicker(s.timing.probe)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.Done():
			return ErrNotConnected
		case <-g.lock.lost():
			return fmt.Errorf("the agent's lock: %w", ErrNotConnected)
		case <-ticker.C:
			probe, cancel := context.WithTimeout(ctx, s.timing.deadPeer)
			err := g.Ping(probe)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

func (s *Source) disconnected(g *generation) {
	g.lock.release()
	g.Close()
	last := g.Host()
	s.mu.Lock()
	s.client, s.last = nil, last
	s.mu.Unlock()
	trigger(s.changed)
}

// Changed is a level trigger of capacity 1: after a receive, the view may have
// changed. It also fires when the connection is made and when it is lost.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Connected reports whether there is a connection at this moment.
func (s *Source) Connected() bool { return s.current() != nil }

// Host returns the view and whether there is a connection. Without one the view is
// the last known, nil if there was none yet. See Client.Host for what it promises.
func (s *Source) Host() (*model.Host, bool) {
	s.mu.Lock()
	c, last := s.client, s.last
	s.mu.Unlock()
	if c == nil {
		return last, false
	}
	return c.Host(), true
}

// Resync makes the next Host read every row again; see Client.Resync.
func (s *Source) Resync() {
	if c := s.current(); c != nil {
		c.Resync()
	}
}

// RootUUID returns the UUID of the Open_vSwitch row, "" while disconnected.
func (s *Source) RootUUID() string {
	if c := s.current(); c != nil {
		return c.RootUUID()
	}
	return ""
}

// Apply is Client.Apply on the current connection. Without one the error is ErrNotConnected.
func (s *Source) Apply(ctx context.Context, edits []Edit) (missing []string, err error) {
	c := s.current()
	if c == nil {
		return nil, fmt.Errorf("write %d rows: %w", len(edits), ErrNotConnected)
	}
	return c.Apply(ctx, edits)
}

func (s *Source) current() *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}
