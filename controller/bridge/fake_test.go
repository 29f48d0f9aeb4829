package bridge

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// fakeSwitch is a switch in memory, for tests in virtual time. TestFakeIsLikeARealSwitch
// keeps it honest.
type fakeSwitch struct {
	mu     sync.Mutex
	flows  map[flows.Key]openflow.Flow
	meters map[uint32]openflow.Meter
	mode   uint16
	hidden exposure.Hidden

	down    bool // nobody answers at its socket
	refuse  func(flows.Change) bool
	session *fakeSession
	dials   int // attempts, successful ones or not
	asked   map[string]int
}

func newFakeSwitch() *fakeSwitch {
	return &fakeSwitch{flows: make(map[flows.Key]openflow.Flow), meters: make(map[uint32]openflow.Meter), asked: make(map[string]int)}
}

// fakeSession is one session with it.
type fakeSession struct {
	*fakeSwitch
	done      chan struct{}
	disturbed chan struct{}
	closing   sync.Once
}

func (f *fakeSwitch) dial(context.Context, string) (Switch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials++
	if f.down {
		return nil, errors.New("connection refused")
	}
	f.session = &fakeSession{fakeSwitch: f, done: make(chan struct{}), disturbed: make(chan struct{}, 1)}
	return f.session, nil
}

// stop ends the session and refuses others, as ovs-vswitchd does when it ends; its flows
// are gone.
func (f *fakeSwitch) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	clear(f.flows)
	clear(f.meters)
	f.mode = openflow.FragNormal
	f.session.Close()
}

func (f *fakeSwitch) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = false
}

// count counts a request and tells whether the session still stands.
func (s *fakeSession) count(what string) error {
	s.asked[what]++
	return s.Err()
}

func (s *fakeSession) Close()                     { s.closing.Do(func() { close(s.done) }) }
func (s *fakeSession) Done() <-chan struct{}      { return s.done }
func (s *fakeSession) Disturbed() <-chan struct{} { return s.disturbed }
func (s *fakeSession) Err() error {
	select {
	case <-s.done:
		return errors.New("the session has ended")
	default:
		return nil
	}
}

func (s *fakeSession) Commit(_ context.Context, changes []flows.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.count("commit"); err != nil {
		return err
	}
	next := maps.Clone(s.flows)
	for _, c := range changes {
		if s.refuse != nil && s.refuse(c) {
			return &openflow.RejectedError{Change: c, Err: &openflow.SwitchError{Type: 5, Code: 1}} // OFPFMFC_TABLE_FULL
		}
		have, ok := next[c.Entry.Key]
		switch {
		case c.Op == flows.Add:
			next[c.Entry.Key] = openflow.Flow{Entry: c.Entry}
		case c.Op == flows.Modify && ok:
			have.Instructions = c.Entry.Instructions
			next[c.Entry.Key] = have
		case c.Op == flows.Delete && have.Cookie == c.Entry.Cookie:
			delete(next, c.Entry.Key)
		}
	}
	s.flows = next
	return nil
}

func (s *fakeSession) list(what string, keep func(*openflow.Flow) bool) ([]openflow.Flow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.count(what); err != nil {
		return nil, err
	}
	var list []openflow.Flow
	for _, f := range s.flows {
		if keep(&f) {
			list = append(list, f)
		}
	}
	return list, nil
}

func (s *fakeSession) Flows(_ context.Context, cookie, mask uint64) ([]openflow.Flow, error) {
	return s.list("flows", func(f *openflow.Flow) bool { return f.Cookie&mask == cookie&mask })
}

func (s *fakeSession) TableFlows(_ context.Context, table uint8, cookie, mask uint64) ([]openflow.Flow, error) {
	return s.list("flows of a table", func(f *openflow.Flow) bool { return f.Table == table && f.Cookie&mask == cookie&mask })
}

func (s *fakeSession) OwnFlows(ctx context.Context) ([]openflow.Flow, error) {
	return s.Flows(ctx, flows.CookiePrefix, flows.CookieMask)
}

func (s *fakeSession) Matched(_ context.Context, table uint8) (packets uint64, err error) {
	list, err := s.list("matched", func(f *openflow.Flow) bool { return f.Table == table })
	for _, f := range list {
		packets += f.Packets
	}
	return packets, err
}

func (s *fakeSession) Release(ctx context.Context) (int, error) {
	own, err := s.OwnFlows(ctx)
	if err != nil || len(own) == 0 {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range own {
		delete(s.flows, f.Key)
	}
	maps.DeleteFunc(s.meters, func(id uint32, _ openflow.Meter) bool { return flows.IsSampleMeter(id) })
	s.mode = openflow.FragNormal
	return len(own), nil
}

func (s *fakeSession) FragmentMode(context.Context) (uint16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode, s.count("fragment mode")
}

func (s *fakeSession) SetFragmentMode(_ context.Context, mode uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
	return s.count("set fragment mode")
}

func (s *fakeSession) Watch(context.Context, []uint8, func(openflow.FlowUpdate) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count("watch")
}

func (s *fakeSession) Subscribe(context.Context) (<-chan openflow.PacketIn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return make(chan openflow.PacketIn), s.count("subscribe")
}

func (s *fakeSession) MeterLimit(context.Context) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 1000, s.count("meter limit")
}

func (s *fakeSession) Meters(context.Context) ([]openflow.Meter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.meters)), s.count("meters")
}

func (s *fakeSession) AddMeters(_ context.Context, list []openflow.Meter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range list {
		if _, ok := s.meters[m.ID]; ok {
			return &openflow.SwitchError{Type: 12, Code: 1} // OFPMMFC_METER_EXISTS
		}
		s.meters[m.ID] = m
	}
	return s.count("add meters")
}

func (s *fakeSession) ModifyMeters(_ context.Context, list []openflow.Meter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range list {
		s.meters[m.ID] = m
	}
	return s.count("modify meters")
}

func (s *fakeSession) DeleteMeters(_ context.Context, list []openflow.Meter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range list {
		delete(s.meters, m.ID)
	}
	return s.count("delete meters")
}

// Read implements Probe: a switch in memory has what it was given.
func (f *fakeSwitch) Read(context.Context, *model.Host, *model.Bridge) exposure.Hidden {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked["hidden flows"]++
	return f.hidden
}

// Addresses implements Probe.
func (f *fakeSwitch) Addresses(*model.Host) map[string][]netip.Prefix { return nil }

// Forget implements Probe.
func (f *fakeSwitch) Forget() {}

// disturb changes a flow as somebody else would, and tells.
func (f *fakeSwitch) disturb(change func(map[flows.Key]openflow.Flow)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.flows)
	select {
	case f.session.disturbed <- struct{}{}:
	default:
	}
}

// requests returns how often something was asked for until now.
func (f *fakeSwitch) requests(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[what]
}

// size returns the number of flows.
func (f *fakeSwitch) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.flows)
}
