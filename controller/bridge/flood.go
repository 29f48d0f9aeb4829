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

// floodMeter finds VIFs that exceed their limits by what the switch has counted.
type floodMeter struct {
	at      time.Time               // of the last look
	total   uint64                  // refused on the bridge until then
	since   uint64                  // refused on the bridge when counted was read
	counted map[flows.VIFID]uint64  // refused of each VIF; nil until it is read
	excess  map[flows.VIFID]float64 // frames above the limit, less what the time since has made up for
}

// look returns the VIFs that flood, with their rates, given how many frames the bridge
// has refused so far in total. Only if these are enough for the smallest limit it reads
// the counters of the VIFs. A VIF floods when it is more than floodBurst seconds' worth
// above its limit.
func (m *floodMeter) look(now time.Time, total uint64, limits map[flows.VIFID]model.Flood, read func() (map[flows.VIFID]uint64, error)) (map[flows.VIFID]float64, error) {
	if m.counted == nil {
		counted, err := read()
		*m = floodMeter{at: now, total: total, since: total, counted: counted}
		return nil, err
	}
	elapsed, before := now.Sub(m.at).Seconds(), m.total
	m.at, m.total = now, total
	if float64(total-before) <= float64(smallest(limits))*elapsed {
		m.excess = nil
		return nil, nil
	}
	counted, err := read()
	if err != nil {
		return nil, err
	}
	// Of the frames between the last reading and the last look nobody knows whose they
	// were. As they may have been the VIF's, they don't speak against it.
	unknown := before - m.since
	flooding, excess := make(map[flows.VIFID]float64), make(map[flows.VIFID]float64)
	for id, limit := range limits {
		was := m.counted[id]
		if counted[id] < was {
			was = 0 // its flows are new
		}
		refused := float64(counted[id] - was - min(counted[id]-was, unknown))
		over := max(0, m.excess[id]+refused-float64(limit)*elapsed)
		if over > floodBurst*float64(limit) {
			flooding[id] = refused / elapsed
		} else {
			excess[id] = over
		}
	}
	m.since, m.counted, m.excess = total, counted, excess
	return flooding, nil
}

func smallest(limits map[flows.VIFID]model.Flood) model.Flood {
	least := model.Flood(math.MaxUint32)
	for _, l := range limits {
		least = min(least, l)
	}
	return least
}

// floods finds the VIFs of one bridge that flood and says which are in quarantine. It
// belongs to the bridge's worker.
type floods struct {
	FloodTimes
	log    *logrus.Entry
	events *metrics.Bridge

	conn  *openflow.Conn // that meter has read
	meter floodMeter
	deaf  bool      // the switch refuses to tell what it counts
	next  time.Time // when to look again

	held map[string]*quarantine // in force, by Interface row UUID
	last map[string]*quarantine // of each VIF, until it is forgiven
}

func newFloods(t FloodTimes, w *Worker) *floods {
	return &floods{
		FloodTimes: t, log: w.log, events: w.Config.Metrics,
		held: make(map[string]*quarantine), last: make(map[string]*quarantine),
	}
}

// due returns when there is something to do for a bridge on which some VIF has a limit.
func (f *floods) due() time.Time {
	at := f.next
	for _, q := range f.held {
		if end := q.end(); end.Before(at) {
			at = end
		}
	}
	return at
}

// look asks the switch what it has refused, and begins quarantines. Only a session that
// is lost is an error.
func (f *floods) look(ctx context.Context, conn *openflow.Conn, l *ledger) error {
	if len(l.limits) == 0 || time.Now().Before(f.next) {
		return nil
	}
	if f.conn != conn {
		f.conn, f.deaf, f.meter = conn, false, floodMeter{}
	}
	began := time.Now()
	flooding, err := f.measure(ctx, l)
	// However much the switch has to tell, that may take a part of the time only.
	now := time.Now()
	f.next = now.Add(max(f.Interval, disturbShare*now.Sub(began)))
	if err != nil || len(flooding) == 0 {
		return err
	}
	for _, v := range l.vifs {
		rate, ok := flooding[flows.ParseVIFID(v.Row.UUID)]
		if !ok || f.held[v.Row.UUID] != nil {
			continue
		}
		q := f.again(f.last[v.Row.UUID], now, rate, v.Policy.FloodLimit())
		f.held[v.Row.UUID], f.last[v.Row.UUID] = q, q
		f.events.Quarantined()
		f.log.WithFields(logrus.Fields{"port": v.Row.Name, "rate": math.Round(rate), "limit": q.limit.String(), "for": q.length.String()}).
			Warn("the VIF floods with frames that are refused; nothing it sends passes for a while")
	}
	return nil
}

// measure returns the VIFs that flood, with their rates.
func (f *floods) measure(ctx context.Context, l *ledger) (map[flows.VIFID]float64, error) {
	if f.deaf {
		return nil, nil
	}
	table := l.target.pipeline().Table(flows.StageDrop)
	total, err := f.conn.Matched(ctx, table)
	var flooding map[flows.VIFID]float64
	if err == nil {
		flooding, err = f.meter.look(time.Now(), total, l.limits, func() (map[flows.VIFID]uint64, error) {
			list, err := f.conn.TableFlows(ctx, table, flows.CookiePrefix, flows.CookieMask)
			return refused(list), err
		})
	}
	var refusal *openflow.SwitchError
	if errors.As(err, &refusal) {
		f.deaf = true
		f.log.WithError(err).Warn("the switch doesn't tell how much it refuses; no VIF is quarantined")
		return nil, nil
	}
	return flooding, err
}

// refused returns how many frames of each VIF were refused by its policy.
func refused(list []openflow.Flow) map[flows.VIFID]uint64 {
	counted := make(map[flows.VIFID]uint64)
	for _, e := range list {
		if id, reason, _ := flows.SplitCookie(e.Cookie); id != 0 && reason != flows.Flood {
			counted[id] += e.Packets
		}
	}
	return counted
}

// settle ends the quarantines that are over, and those of VIFs that are gone or have no
// limit any more that they exceeded, and returns the others.
func (f *floods) settle(now time.Time, t *Target) map[string]*quarantine {
	for uuid, q := range f.last {
		if f.held[uuid] == nil && f.forgiven(q, now) {
			delete(f.last, uuid)
		}
	}
	if len(f.held) == 0 {
		return nil
	}
	kept := make(map[string]*quarantine)
	for _, row := range t.Bridge.Interfaces {
		q := f.held[row.UUID]
		if q == nil {
			continue
		}
		policy := model.Resolve(&t.Config, t.Profiles, row)
		limit := policy.FloodLimit()
		log := f.log.WithField("port", row.Name)
		switch {
		case limit == 0 || float64(limit) >= q.rate:
			delete(f.last, row.UUID)
			log.WithField("limit", limit.String()).Info("quarantine ended: the VIF's limit has changed")
		case !now.Before(q.end()):
			log.Info("quarantine over")
		default:
			kept[row.UUID] = q
		}
	}
	f.held = kept
	return maps.Clone(kept)
}

// forget ends all quarantines.
func (f *floods) forget() { clear(f.held); clear(f.last) }
