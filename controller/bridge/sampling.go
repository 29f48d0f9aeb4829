package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// DefaultSampleRate is how many refused packets per second and VIF the switch sends to
// the agent at most.
const DefaultSampleRate = 10

// MaxSampleRate limits what a flood may cost.
const MaxSampleRate = 1000

// sampler begins sampling in each of a bridge's sessions.
type sampler struct {
	rate      uint32 // packets per second and port; 0 for none
	log       *logrus.Entry
	reader    *sampleReader
	complaint string // why the last session has no samples, as logged; "" for none
}

// sampling has one bridge's switch send samples of what it refuses, for as long as a
// session lasts.
//
// Meters can't be part of a bundle, so they are added before the flows that refer to
// them and deleted after those. Open vSwitch resolves a meter's number when it installs
// a flow: a flow whose meter is deleted goes on unmetered, or with the meter that gets
// the place, until the flow is installed again.
type sampling struct {
	*sampler
	conn    Switch
	reading sync.WaitGroup

	on      bool // the flows of this session have samples
	retried bool // the switch refused a sample, and it was tried again
	meters  map[uint32]openflow.Meter
	fresh   map[uint32]bool // meters added since the flows were compared
}

// begin asks for samples. Only a session that is lost is an error: a bridge is guarded
// without samples too.
func (s *sampling) begin(ctx context.Context) error {
	if s.rate == 0 {
		return nil
	}
	limit, err := s.conn.MeterLimit(ctx)
	if err != nil {
		return err
	}
	if limit == 0 {
		s.giveUp("the datapath has no meters that could limit the samples")
		return nil
	}
	own, err := s.conn.OwnFlows(ctx)
	if err != nil {
		return err
	}
	list, err := s.conn.Subscribe(ctx)
	if s.refused(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.on, s.complaint = true, ""
	s.reading.Go(func() { s.reader.run(s.conn, list, own) })
	return nil
}

// end waits until no sample of the session is read any more. The session must have ended.
func (s *sampling) end() { s.reading.Wait() }

// giveUp goes on without samples until there is another session.
func (s *sampling) giveUp(why string) {
	s.on = false
	if s.complaint != why {
		s.log.Warnf("no samples of dropped frames from this bridge, only counters: %s", why)
	}
	s.complaint = why
}

// refused gives up if err is the switch's refusal, and reports whether it is.
func (s *sampling) refused(err error) bool {
	var refusal *openflow.SwitchError
	if !errors.As(err, &refusal) {
		return false
	}
	s.giveUp(err.Error())
	return true
}

// prepare makes the meters that the ledger's flows refer to. known says that the
// switch has what the ledger held before, so that only what changes matters. ready is false when
// samples had to be given up, so that the ledger asks for meters which aren't there.
func (s *sampling) prepare(ctx context.Context, l *ledger, c *change, known bool) (ready bool, err error) {
	ids := unique(c.newMeters)
	if !known {
		if err := s.readMeters(ctx); err != nil {
			return false, err
		}
		ids = metersOf(l)
	}
	var add, modify []openflow.Meter
	for _, id := range ids {
		want := openflow.NewMeter(id, s.rate, s.rate)
		if have, ok := s.meters[id]; !ok {
			add = append(add, want)
		} else if have != want {
			modify = append(modify, want)
		}
	}
	err = s.conn.AddMeters(ctx, add)
	if err == nil {
		err = s.conn.ModifyMeters(ctx, modify)
	}
	if err != nil {
		if s.refused(err) {
			return false, nil
		}
		return false, err
	}
	for _, m := range slices.Concat(add, modify) {
		s.meters[m.ID] = m
	}
	for _, m := range add {
		s.fresh[m.ID] = true
	}
	return true, nil
}

// readMeters reads which meters of vifguard's the switch has.
func (s *sampling) readMeters(ctx context.Context) error {
	s.meters, s.fresh = make(map[uint32]openflow.Meter), make(map[uint32]bool)
	all, err := s.conn.Meters(ctx)
	if err != nil {
		var refusal *openflow.SwitchError
		if errors.As(err, &refusal) {
			return nil // no meters at all
		}
		return err
	}
	for _, m := range all {
		if flows.IsSampleMeter(m.ID) {
			s.meters[m.ID] = m
		}
	}
	return nil
}

// metersOf returns the meters that the ledger's flows refer to.
func metersOf(l *ledger) (ids []uint32) {
	if !l.facts.sampled {
		return nil
	}
	ids = append(ids, sharedMeter(true))
	for _, v := range l.vifs {
		if v.meter != 0 {
			ids = append(ids, v.meter)
		}
	}
	return unique(ids)
}

// unique returns meters in order and once: ports that trade their numbers can share one
// for a moment.
func unique(ids []uint32) []uint32 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// counting returns the entries that count, which are those that sample.
func counting(all []flows.Entry) (list []flows.Entry) {
	for _, e := range all {
		if _, reason, _ := flows.SplitCookie(e.Cookie); reason != model.NoReason {
			list = append(list, e)
		}
	}
	return list
}

// renew adds to the changes that a comparison found those flows that look right but
// refer to a meter that was gone.
func (s *sampling) renew(changes []flows.Change, l *ledger) []flows.Change {
	if !s.on || len(s.fresh) == 0 {
		return changes
	}
	changing := make(map[flows.Key]bool, len(changes))
	for _, c := range changes {
		changing[c.Entry.Key] = true
	}
	add := func(meter uint32, entries []flows.Entry) {
		if !s.fresh[meter] {
			return
		}
		for _, e := range counting(entries) {
			if !changing[e.Key] {
				changes = append(changes, flows.Change{Op: flows.Modify, Entry: e})
			}
		}
	}
	add(flows.SampleMeter(0), l.shared)
	for _, v := range l.vifs {
		add(v.meter, v.entries)
	}
	return changes
}

// tidy deletes the meters that no flow refers to any more.
func (s *sampling) tidy(ctx context.Context, l *ledger, c *change, known bool) error {
	clear(s.fresh)
	var gone []openflow.Meter
	if known {
		for _, id := range c.oldMeters {
			if m, ok := s.meters[id]; ok && !l.usesMeter(id) {
				gone = append(gone, m)
			}
		}
	} else {
		want := metersOf(l)
		for id, m := range s.meters {
			if _, ok := slices.BinarySearch(want, id); !ok {
				gone = append(gone, m)
			}
		}
	}
	if err := s.conn.DeleteMeters(ctx, gone); err != nil {
		return err
	}
	for _, m := range gone {
		delete(s.meters, m.ID)
	}
	return nil
}

// isToBlame reports whether a flow was refused because of its sample, so that it should be
// tried again: first with the meters as they really are, then without samples. Nobody
// is blocked for want of a line in a log.
func (s *sampling) isToBlame(rejected *openflow.RejectedError) bool {
	_, reason, _ := flows.SplitCookie(rejected.Change.Entry.Cookie)
	if !s.on || reason == model.NoReason || rejected.Change.Op == flows.Delete || rejected.Err.AboutTable() {
		return false
	}
	if rejected.Err.AboutMeter() && !s.retried {
		s.retried = true
		return true
	}
	s.giveUp(fmt.Sprintf("it refused a flow with samples: %v", rejected.Err))
	return true
}
