package ovsdb

import (
	"context"
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
}

var defaultTiming = timing{
	firstRetry: 100 * time.Millisecond, maxRetry: time.Second,
	remind: 30 * time.Second,
	dial:   dialTimeout, probe: 5 * time.Second, deadPeer: pingTimeout,
}

// Source keeps a Client alive across restarts of ovsdb-server. While there is no
// connection it shows the last view. Values of rows that are the same after a
// reconnect keep their pointers. All methods may be called from several goroutines.
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
// doesn't answer a probe, until ctx ends. It returns nil then, and has ended what it
// started. Only one Run at a time.
func (s *Source) Run(ctx context.Context) error {
	for {
		c := s.connect(ctx)
		if c == nil {
			return nil
		}
		err := s.serve(ctx, c)
		s.disconnected(c)
		if ctx.Err() != nil {
			return nil
		}
		s.log.WithError(err).Info("connection to ovsdb-server ended")
	}
}

// connect dials until it succeeds; nil when ctx ended.
func (s *Source) connect(ctx context.Context) *Client {
	var said time.Time
	for wait := s.timing.firstRetry; ctx.Err() == nil; wait = min(2*wait, s.timing.maxRetry) {
		c, err := s.dial(ctx)
		if err == nil {
			s.mu.Lock()
			s.client, s.last = c, c.Host()
			s.mu.Unlock()
			s.log.WithField("endpoint", s.endpoint).Info("connected to ovsdb-server")
			trigger(s.changed)
			return c
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
	return nil
}

func (s *Source) dial(ctx context.Context) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.dial)
	defer cancel()
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	return dial(ctx, s.endpoint, s.log, s.changed, last)
}

// serve returns why the connection ended. libovsdb notices a closed socket, but not
// a server that is there and doesn't answer, hence the probes.
func (s *Source) serve(ctx context.Context, c *Client) error {
	ticker := time.NewTicker(s.timing.probe)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Done():
			return ErrNotConnected
		case <-ticker.C:
			probe, cancel := context.WithTimeout(ctx, s.timing.deadPeer)
			err := c.Ping(probe)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

func (s *Source) disconnected(c *Client) {
	c.Close()
	last := c.Host()
	s.mu.Lock()
	s.client, s.last = nil, last
	s.mu.Unlock()
	trigger(s.changed)
}

// Changed is a level trigger of capacity 1: after a receive, the view may have
// changed. It also fires when the connection is made and when it is lost.
func (s *Source) Changed() <-chan struct{} { return s.changed }

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
		return nil, fmt.Errorf("write external_ids of %d rows: %w", len(edits), ErrNotConnected)
	}
	return c.Apply(ctx, edits)
}

func (s *Source) current() *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}
