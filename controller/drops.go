package controller

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/events"
)

// Limits of what the control socket holds for its readers.
const (
	maxRecent    = 1000 // events that are told again
	maxFollowers = 32
	followBuffer = 256 // events that a follower may lag behind
)

// drops is what the agent knows about refused frames. The bridges' samplings write it,
// the control socket reads it; nobody waits for anybody.
type drops struct {
	log   *logrus.Entry
	store *claimStore // nil: claims aren't kept

	mu        sync.Mutex
	recent    []events.Event // the oldest first
	claims    *events.Claims
	changed   bool // claims differ from what is stored
	followers map[chan events.Event]struct{}
}

func newDrops(log *logrus.Entry) *drops {
	return &drops{
		log: log, claims: events.NewClaims(time.Now()),
		followers: make(map[chan events.Event]struct{}),
	}
}

// open takes over the claims that are kept in stateDir and serves the control socket;
// "" means not to. Neither is needed to guard a host, so what fails is only logged. The
// returned function ends it and keeps the claims.
func (d *drops) open(socket, stateDir string) (stop func()) {
	if stateDir != "" {
		d.restore(stateDir)
	}
	var server *control.Server
	if socket != "" {
		var err error
		if server, err = control.Listen(socket, control.Handler(d)); err != nil {
			d.log.WithError(err).Warn("no control socket; \"vifguard drops\" can't reach this agent")
		}
	}
	done := make(chan struct{})
	var saving sync.WaitGroup
	saving.Go(func() { d.save(done) })
	return func() {
		close(done)
		saving.Wait()
		if server != nil {
			server.Close()
		}
	}
}

// sampled remembers what a VIF has claimed.
func (d *drops) sampled(now time.Time, s *events.Sample) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims.Add(now, s)
	d.changed = true
}

// tell logs an event and hands it to the followers. One that has no room for it is cut
// off.
func (d *drops) tell(e *events.Event) {
	d.log.WithFields(logrus.Fields{"bridge": e.Bridge, "port": e.Port, "reason": e.Reason}).Info(e.Text())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims.Count(e)
	d.changed = true
	if len(d.recent) >= maxRecent {
		d.recent = slices.Delete(d.recent, 0, 1)
	}
	d.recent = append(d.recent, *e)
	for f := range d.followers {
		select {
		case f <- *e:
		default:
			d.drop(f)
		}
	}
}

// drop ends what a follower hears. It may have been dropped already.
func (d *drops) drop(f chan events.Event) {
	if _, ok := d.followers[f]; ok {
		delete(d.followers, f)
		close(f)
	}
}

// Recent implements control.Source.
func (d *drops) Recent() []events.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.recent)
}

// Follow implements control.Source.
func (d *drops) Follow() (recent []events.Event, live <-chan events.Event, stop func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.followers) >= maxFollowers {
		return nil, nil, nil, fmt.Errorf("%d readers follow already, which is the limit", maxFollowers)
	}
	f := make(chan events.Event, followBuffer)
	d.followers[f] = struct{}{}
	return slices.Clone(d.recent), f, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.drop(f)
	}, nil
}

// Report implements control.Source.
func (d *drops) Report() events.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims.Report()
}
