package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// FloodTimes say how often floods are measured, and how long a quarantine lasts.
type FloodTimes struct {
	Interval time.Duration // between two readings of what the switch has refused
	First    time.Duration // length of a quarantine
	Most     time.Duration // what that grows to, twice as long each time that the VIF floods again
	Calm     time.Duration // without a flood until the next one is a first again; at least as long as the last quarantine
	Spare    time.Duration // the switch ends a quarantine by itself this much later, should there be no agent to do so
}

var defaultFloodTimes = FloodTimes{
	Interval: time.Second, First: 10 * time.Second, Most: 5 * time.Minute, Calm: time.Minute, Spare: 5 * time.Second,
}

// floodBurst is how many seconds' worth of its limit a VIF may exceed it by. Open vSwitch
// adds what a megaflow has dropped to the counters twice a second, and later under load:
// what comes late isn't a flood.
const floodBurst = 2

// quarantine is a time in which nothing of a VIF passes. It is immutable.
type quarantine struct {
	begin   time.Time
	length  time.Duration
	timeout uint16      // seconds after which the switch ends it by itself
	rate    float64     // refused frames per second that led to it
	limit   model.Flood // that they exceeded
}

func (q *quarantine) end() time.Time { return q.begin.Add(q.length) }

func (q *quarantine) String() string {
	return fmt.Sprintf("%s until %s: %.0f refused frames/s, the limit is %s",
		q.length.Round(time.Millisecond), q.end().UTC().Format(time.RFC3339), q.rate, q.limit)
}

// again returns the quarantine that follows the last one of a VIF; nil if it had none.
func (t *FloodTimes) again(last *quarantine, now time.Time, rate float64, limit model.Flood) *quarantine {
	q := &quarantine{begin: now, length: t.First, rate: rate, limit: limit}
	if last != nil && !t.forgiven(last, now) {
		q.length = min(2*last.length, t.Most)
	}
	q.timeout = uint16(min(math.Ceil((q.length + t.Spare).Seconds()), math.MaxUint16))
	return q
}

// forgiven reports whether a quarantine is so long ago that it doesn't count any more.
func (t *FloodTimes) forgiven(q *quarantine, now time.Time) bool {
	return now.Sub(q.end()) >= max(t.Calm, q.length)
}

// refusedCounter is how much the switch has refused, as one session reads it.
type refusedCounter struct {
	floodMeter
	silent bool // the switch refuses to tell what it counts
}

// floods finds the VIFs of one bridge that flood and says which are in quarantine.
type floods struct {
	FloodTimes
	log     *logrus.Entry
	metrics *metrics.Bridge
	next    time.Time // when to measure again

	active map[string]*quarantine // by Interface row UUID
	last   map[string]*quarantine // of each VIF, until it is forgiven
}

func newFloods(t FloodTimes, log *logrus.Entry, m *metrics.Bridge) *floods {
	return &floods{
		FloodTimes: t, log: log, metrics: m,
		active: make(map[string]*quarantine), last: make(map[string]*quarantine),
	}
}

// due returns when there is something to do for a bridge on which some VIF has a limit.
func (f *floods) due() time.Time {
	at := f.next
	for _, q := range f.active {
		at = earlier(at, q.end())
	}
	return at
}

// measure asks the switch what it has refused, if that is due, and begins quarantines. Only
// a session that is lost is an error.
func (f *floods) measure(ctx context.Context, s *session, l *ledger) error {
	if len(l.limits) == 0 || time.Now().Before(f.next) {
		return nil
	}
	began := time.Now()
	flooding, err := f.flooding(ctx, s, l)
	// However much the switch has to tell, that may take a part of the time only.
	now := time.Now()
	f.next = now.Add(max(f.Interval, disturbShare*now.Sub(began)))
	if err != nil || len(flooding) == 0 {
		return err
	}
	for _, v := range l.vifs {
		if rate, ok := flooding[flows.ParseVIFID(v.Row.UUID)]; ok && f.active[v.Row.UUID] == nil {
			f.begin(v, now, rate)
		}
	}
	return nil
}

// begin begins a quarantine.
func (f *floods) begin(v *VIF, now time.Time, rate float64) {
	q := f.again(f.last[v.Row.UUID], now, rate, v.Policy.FloodLimit())
	f.active[v.Row.UUID], f.last[v.Row.UUID] = q, q
	f.metrics.Quarantined()
	f.log.WithFields(logrus.Fields{"port": v.Row.Name, "rate": math.Round(rate), "limit": q.limit.String(), "for": q.length.String()}).
		Warn("the VIF floods with frames that are refused; nothing it sends passes for a while")
}

// flooding returns the VIFs that flood, with their rates.
func (f *floods) flooding(ctx context.Context, s *session, l *ledger) (map[flows.VIFID]float64, error) {
	if s.refused.silent {
		return nil, nil
	}
	table := l.target.pipeline().Table(flows.StageDrop)
	total, err := s.Matched(ctx, table)
	var flooding map[flows.VIFID]float64
	if err == nil {
		flooding, err = s.refused.measure(time.Now(), total, l.limits, func() (map[flows.VIFID]uint64, error) {
			list, err := s.TableFlows(ctx, table, flows.CookiePrefix, flows.CookieMask)
			return refused(list), err
		})
	}
	var refusal *openflow.SwitchError
	if errors.As(err, &refusal) {
		s.refused.silent = true
		f.log.WithError(err).Warn("the switch doesn't tell how much it refuses; no VIF is quarantined")
		return nil, nil
	}
	return flooding, err
}

// refused returns how many frames of each VIF were refused by its policy.
func refused(list []openflow.Flow) map[flows.VIFID]uint64 {
	counted := make(map[flows.VIFID]uint64)
	for _, e := range list {
		if id, reason, _ := flows.SplitCookie(e.Cookie); id != 0 && reason != model.ReasonFlood {
			counted[id] += e.Packets
		}
	}
	return counted
}

// current returns the quarantines that are in force for a target, by Interface row UUID,
// and forgets the others.
func (f *floods) current(now time.Time, t *Target) map[string]*quarantine {
	for uuid, q := range f.last {
		if f.active[uuid] == nil && f.forgiven(q, now) {
			delete(f.last, uuid)
		}
	}
	if len(f.active) == 0 {
		return nil
	}
	kept := make(map[string]*quarantine)
	for _, row := range t.Bridge.Interfaces {
		if q := f.active[row.UUID]; q != nil && f.goesOn(q, row, now, t) {
			kept[row.UUID] = q
		}
	}
	f.active = kept
	return maps.Clone(kept)
}

// goesOn reports whether a VIF's quarantine is still in force: it isn't over, and the VIF
// still has a limit that it has exceeded.
func (f *floods) goesOn(q *quarantine, row *model.Interface, now time.Time, t *Target) bool {
	policy := model.Resolve(&t.Config, t.Profiles, row)
	limit := policy.FloodLimit()
	log := f.log.WithField("port", row.Name)
	switch {
	case limit == 0 || float64(limit) >= q.rate:
		delete(f.last, row.UUID)
		log.WithField("limit", limit.String()).Info("quarantine ended: the VIF's limit has changed")
		return false
	case !now.Before(q.end()):
		log.Info("quarantine over")
		return false
	}
	return true
}

// clear ends all quarantines.
func (f *floods) clear() { clear(f.active); clear(f.last) }
