package bridge

import (
	"context"
	"fmt"
	"io"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a worker with a switch in memory, in virtual time.
type site struct {
	t  *testing.T
	sw *fakeSwitch

	mu    sync.Mutex // of what follows; nobody waits with it
	w     *Worker
	turns int // of the worker's loop

	keys map[string]string
	rows []*model.Interface
}

// inVirtualTime runs a worker while test runs.
func inVirtualTime(t *testing.T, test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := logrus.New()
		log.SetOutput(io.Discard)
		s := &site{t: t, sw: newFakeSwitch(), keys: map[string]string{model.KeyChecks: "auto"}}
		s.w = NewWorker(Config{
			Bridge: "br0", CheckInterval: 5 * time.Second, SampleRate: 10, Dial: s.sw.dial, Probe: s.sw, Changed: func() {},
			Log: logrus.NewEntry(log), Journal: drops.NewJournal(logrus.NewEntry(log)), Metrics: metrics.New("", nil).Bridge("br0"),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // what Run does, and counts
			defer close(done)
			defer s.w.hangUp()
			for ctx.Err() == nil {
				s.do(func() { s.turns++; s.w.step(ctx) })
				o := s.w.wait(ctx)
				s.do(func() { s.w.handle(o) })
			}
		}()
		s.add("tap1", 1)
		test(s)
		cancel()
		<-done
	})
}

// do does something with the worker that the other goroutine doesn't see halfway.
func (s *site) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// add adds a VIF.
func (s *site) add(name string, port uint32) *model.Interface {
	row := &model.Interface{UUID: rowUUID(byte(len(s.rows) + 1)), Name: name, OFPort: port, ExternalIDs: map[string]string{model.KeyAttachedMAC: fmt.Sprintf("52:54:00:00:00:%02x", port)}}
	s.rows = append(s.rows, row)
	return row
}

// aim gives the worker the bridge as it is, and lets everything settle that needs no time.
func (s *site) aim() {
	b := &model.Bridge{UUID: "b", Name: "br0", ExternalIDs: maps.Clone(s.keys), Interfaces: append([]*model.Interface(nil), s.rows...)}
	s.w.Aim(NewTarget(&model.Host{Bridges: []*model.Bridge{b}}, b))
	synctest.Wait()
}

func (s *site) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *site) want(p phase) {
	s.t.Helper()
	s.do(func() {
		if s.w.phase != p {
			s.t.Errorf("phase %s, want %s", s.w.phase, p)
		}
	})
}

// In every phase an hour costs no more turns than there are deadlines in it.
func TestIdleWorkersRest(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(s *site)
		phase   phase
		most    int // turns in an hour
	}{
		"no target":      {func(*site) {}, idle, 0},
		"in force":       {func(s *site) { s.aim() }, inForce, 3600 / 5},
		"a flood limit":  {func(s *site) { s.keys[model.KeyFlood] = "100"; s.aim() }, inForce, 3600 + 3600/5},
		"released":       {func(s *site) { s.aim(); delete(s.keys, model.KeyChecks); s.aim() }, released, 0},
		"never guarded":  {func(s *site) { delete(s.keys, model.KeyChecks); s.aim() }, released, 0},
		"switch is away": {func(s *site) { s.sw.down = true; s.aim() }, unreachable, 3600 + 10},
		"switch went away": {func(s *site) {
			s.aim()
			s.sw.stop()
			synctest.Wait()
		}, unreachable, 3600 + 10},
		"switch of a bridge that was never guarded is away": {func(s *site) {
			s.sw.down = true
			delete(s.keys, model.KeyChecks)
			s.aim()
		}, unreachable, 3600/30 + 10},
		"unusable from the beginning": {func(s *site) { s.keys[model.KeyFirstTable] = "999"; s.aim() }, unusable, 0},
		"becomes unusable": {func(s *site) {
			s.keys[model.KeyFlood] = "100"
			s.aim()
			s.wait(time.Minute)
			s.keys[model.KeyFirstTable] = "999"
			s.aim()
		}, unusable, 0},
		"becomes unusable, and the switch goes away": {func(s *site) {
			s.aim()
			s.keys[model.KeyFirstTable] = "999"
			s.aim()
			s.sw.stop()
			synctest.Wait()
		}, unusable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(s *site) {
				test.prepare(s)
				var before, after int
				s.do(func() { before = s.turns })
				s.wait(time.Hour)
				s.want(test.phase)
				s.do(func() { after = s.turns })
				if n := after - before; n > test.most+1 {
					t.Errorf("%d turns in an hour, want at most %d", n, test.most)
				}
			})
		})
	}
}

// Flows that others change all the time are repaired all the time, but keep neither the
// worker nor the switch busy.
func TestDisturbance(t *testing.T) {
	inVirtualTime(t, func(s *site) {
		s.aim()
		size := s.sw.size()
		before := s.sw.requests("flows")
		for range 1000 {
			s.sw.disturb(func(all map[flows.Key]openflow.Flow) {
				for k := range all {
					delete(all, k)
					break
				}
			})
			s.wait(time.Millisecond)
		}
		s.wait(time.Second)
		s.want(inForce)
		if got := s.sw.size(); got != size {
			t.Errorf("%d flows, want %d", got, size)
		}
		// The comparisons take no time here, so each change may have one.
		if n := s.sw.requests("flows") - before; n < 100 || n > 1100 {
			t.Errorf("%d comparisons", n)
		}
	})
}

// While a comparison has to wait, what is asked for doesn't.
func TestChangesDontWaitForAComparison(t *testing.T) {
	inVirtualTime(t, func(s *site) {
		s.aim()
		s.do(func() { s.w.last.took, s.w.last.ended = time.Minute, time.Now() }) // as of a huge bridge
		s.sw.disturb(func(map[flows.Key]openflow.Flow) {})
		synctest.Wait()
		s.want(disturbed)
		compared := s.sw.requests("flows")
		size := s.sw.size()
		s.add("tap2", 2)
		s.aim()
		s.want(disturbed)
		if s.sw.size() <= size || s.sw.requests("flows") != compared {
			t.Errorf("%d flows after %d, %d comparisons", s.sw.size(), size, s.sw.requests("flows")-compared)
		}
		s.wait(disturbShare * time.Minute)
		s.want(inForce)
		if s.sw.requests("flows") == compared {
			t.Error("no comparison follows")
		}
	})
}

// A switch that comes back is programmed within the pause between two attempts; a target
// that is new doesn't even wait for that.
func TestSwitchComesBack(t *testing.T) {
	inVirtualTime(t, func(s *site) {
		s.aim()
		size := s.sw.size()
		s.sw.stop()
		s.wait(time.Hour)
		s.sw.start()
		s.wait(MaxRetry)
		s.want(inForce)
		if s.sw.size() != size || s.sw.mode != openflow.FragNXMatch {
			t.Errorf("%d flows in fragment mode %d, want %d", s.sw.size(), s.sw.mode, size)
		}
		s.sw.stop()
		s.wait(time.Minute)
		s.sw.start()
		s.add("tap2", 2)
		s.aim()
		s.want(inForce)
	})
}

// What becomes unusable keeps its flows; what becomes usable again is compared.
func TestUnusableKeepsFlows(t *testing.T) {
	inVirtualTime(t, func(s *site) {
		s.aim()
		size := s.sw.size()
		s.keys[model.KeyFirstTable] = "999"
		s.aim()
		if r := s.w.Report(); r.Problem == "" || s.sw.size() != size {
			t.Errorf("problem %q, %d flows, want %d", r.Problem, s.sw.size(), size)
		}
		s.sw.disturb(func(all map[flows.Key]openflow.Flow) { clear(all) })
		delete(s.keys, model.KeyFirstTable)
		s.aim()
		s.want(inForce)
		if r := s.w.Report(); r.Problem != "" || s.sw.size() != size {
			t.Errorf("problem %q, %d flows, want %d", r.Problem, s.sw.size(), size)
		}
	})
}

// A VIF whose flow the switch refuses is blocked, until something else is asked for.
func TestRefusal(t *testing.T) {
	inVirtualTime(t, func(s *site) {
		row := s.add("tap2", 2)
		refused := 0
		s.sw.refuse = func(c flows.Change) bool {
			id, reason, _ := flows.SplitCookie(c.Entry.Cookie)
			no := c.Op == flows.Add && id == flows.ParseVIFID(row.UUID) && c.Entry.Table == uint8(flows.StageMAC) && reason == model.NoReason
			if no {
				refused++
			}
			return no
		}
		s.aim()
		s.want(inForce)
		vifs := s.w.Report().VIFs
		if vifs[0].State() != model.StateEnforced || vifs[1].State() != model.StateBlocked || !vifs[1].Refused() || refused != 1 {
			t.Errorf("%s and %s after %d refusals", vifs[0].State(), vifs[1].State(), refused)
		}
		s.wait(time.Hour)
		if refused != 1 {
			t.Errorf("refused flows are tried again: %d times", refused)
		}
		s.sw.refuse = nil
		s.rows[1] = &model.Interface{UUID: row.UUID, Name: row.Name, OFPort: row.OFPort, ExternalIDs: map[string]string{model.KeyAttachedMAC: "52:54:00:00:00:02", model.KeyChecks: "mac,arp"}}
		s.aim()
		s.do(func() {
			if v := s.w.Report().VIFs[1]; v.State() != model.StateEnforced || len(s.w.refusals) != 0 {
				t.Errorf("%s, %d refusals remembered", v.State(), len(s.w.refusals))
			}
		})
	})
}

// Two rows that claim one port have no flows of their own, and get them back one by one.
func TestContestedPort(t *testing.T) {
	inVirtualTime(t, func(s *site) {
		s.add("tap2", 2)
		s.aim()
		size := s.sw.size()
		claim := func(port uint32) {
			row := *s.rows[1]
			row.OFPort = port
			s.rows[1] = &row
			s.aim()
		}
		claim(1)
		for _, v := range s.w.Report().VIFs {
			if !v.Pending() || len(v.entries) != 0 || len(v.Policy.Problems) != 1 {
				t.Errorf("%s: pending %t, %d flows, %v", v.Row.Name, v.Pending(), len(v.entries), v.Policy.Problems)
			}
		}
		claim(2)
		compared := s.sw.requests("commit")
		if s.sw.size() != size {
			t.Errorf("%d flows, want %d", s.sw.size(), size)
		}
		s.wait(time.Minute) // several comparisons
		if n := s.sw.requests("commit") - compared; n != 0 {
			t.Errorf("%d repairs of what nobody has changed", n)
		}
	})
}
