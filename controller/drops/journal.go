package drops

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Limits of what a journal keeps for its readers.
const (
	maxRecent    = 1000 // events that a new reader gets
	maxFollowers = 32
	followBuffer = 256 // events that a follower may lag behind
)

// Journal is what an agent knows about refused frames: the last events, and what each VIF
// has claimed. Its methods may be called from several goroutines; none of them waits for
// a reader.
type Journal struct {
	log *logrus.Entry

	mu        sync.Mutex
	recent    []Event // the oldest first
	claims    *Claims
	changed   bool // claims differ from what is stored
	followers map[chan Event]struct{}
}

// NewJournal returns an empty journal. Each event is logged to log.
func NewJournal(log *logrus.Entry) *Journal {
	return &Journal{log: log, claims: NewClaims(time.Now()), followers: make(map[chan Event]struct{})}
}

// Claimed adds what a sampled frame has claimed.
func (j *Journal) Claimed(now time.Time, s *Sample) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claims.Add(now, s)
	j.changed = true
}

// Add logs an event and hands it to the followers. A follower that has no room for it is
// cut off.
func (j *Journal) Add(e *Event) {
	j.log.WithFields(logrus.Fields{"bridge": e.Bridge, "port": e.Port, "reason": e.Reason}).Info(e.Text())
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claims.Count(e)
	j.changed = true
	if len(j.recent) >= maxRecent {
		j.recent = slices.Delete(j.recent, 0, 1)
	}
	j.recent = append(j.recent, *e)
	for f := range j.followers {
		select {
		case f <- *e:
		default:
			j.cutOff(f)
		}
	}
}

// cutOff closes a follower's channel, unless that was done before.
func (j *Journal) cutOff(f chan Event) {
	if _, ok := j.followers[f]; ok {
		delete(j.followers, f)
		close(f)
	}
}

// Recent returns the last events, the oldest first.
func (j *Journal) Recent() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.recent)
}

// Follow returns the last events, and a channel with all that come after. The channel is
// closed when its reader is too slow. stop must be called once. It is an error when there
// are too many followers.
func (j *Journal) Follow() (recent []Event, live <-chan Event, stop func(), err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.followers) >= maxFollowers {
		return nil, nil, nil, fmt.Errorf("%d readers follow already, which is the limit", maxFollowers)
	}
	f := make(chan Event, followBuffer)
	j.followers[f] = struct{}{}
	return slices.Clone(j.recent), f, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.cutOff(f)
	}, nil
}

// Report returns what each VIF has claimed.
func (j *Journal) Report() Report {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.claims.Report()
}
