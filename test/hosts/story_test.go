//go:build lab

package hosts

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// patience bounds every wait: for the slowest program on the busiest machine.
const patience = 60 * time.Second

// story is one scenario: it tells what it does, as commands to try by hand, and what
// came of it.
type story struct {
	*testing.T
	entry *entry
	seq   int
}

// tell begins a scenario.
func tell(t *testing.T, title, about string) *story {
	t.Helper()
	lab.Need(t, lab.Docker)
	s := &story{T: t, entry: &entry{title: title, begun: time.Now()}}
	report.add(s.entry)
	t.Cleanup(func() {
		s.entry.took, s.entry.failed = time.Since(s.entry.begun), t.Failed()
		if t.Failed() {
			for _, h := range []host{host1, host2} {
				out, err := h.try(context.Background(), "host", "log")
				t.Logf("end of %s's logs (%v):\n%s", h, err, out)
			}
		}
	})
	fmt.Printf("\n%s\n   %s\n", title, strings.ReplaceAll(about, "\n", "\n   "))
	return s
}

// part begins a part of the scenario.
func (s *story) part(format string, args ...any) {
	fmt.Printf("\n   - "+format+"\n", args...)
}

// check prints an outcome and fails the scenario if it isn't as it should be.
func (s *story) check(ok bool, format string, args ...any) {
	s.Helper()
	s.entry.checks++
	mark := "✓"
	if !ok {
		mark = "✗"
		s.Errorf("not so: "+format, args...)
	}
	fmt.Printf(" %s "+format+"\n", append([]any{mark}, args...)...)
}

// fact puts a line into the report.
func (s *story) fact(format string, args ...any) {
	s.entry.facts = append(s.entry.facts, fmt.Sprintf(format, args...))
}

// run shows a command of a host and runs it.
func (s *story) run(h host, args ...string) string {
	s.Helper()
	s.show(h, args...)
	return s.do(h, args...)
}

func (s *story) show(h host, args ...string) {
	fmt.Printf("   %s$ %s\n", h, strings.Join(args, " "))
}

// do runs a command of a host.
func (s *story) do(h host, args ...string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	out, err := h.try(ctx, args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// start starts a program in a guest that goes on until the guest ends. What it prints is
// in the file that is named after the guest, in the host's log directory.
func (s *story) start(g guest, args ...string) {
	s.Helper()
	s.show(g.host, append(g.in(args...), "&")...)
	s.do(g.host, append([]string{"sh", "-c", `setsid "$@" >/var/log/lab/guest-$0.log 2>&1 </dev/null &`, g.name}, g.in(args...)...)...)
}

// printed is what the guest's last started program printed.
func (s *story) printed(g guest) string {
	s.Helper()
	return s.do(g.host, "cat", "/var/log/lab/guest-"+g.name+".log")
}

// wait waits for a condition; the scenario ends when it doesn't come true.
func (s *story) wait(what string, cond func() bool) {
	s.Helper()
	lab.EventuallyWithin(s.T, patience, what, lab.True(cond))
}

// comes waits for a condition, and tells whether it came true.
func (s *story) comes(what string, cond func() bool) bool {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	return lab.WaitUntil(ctx, what, func() (bool, error) { return cond(), nil }) == nil
}

// fresh empties both hosts, and guards their bridges or doesn't.
func (s *story) fresh(guarded bool) {
	s.Helper()
	var how []string
	if guarded {
		how = []string{"guard"}
	}
	both(func(h host) {
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		defer cancel()
		if out, err := h.try(ctx, append([]string{"host", "fresh"}, how...)...); err != nil {
			s.Errorf("%v\n%s", err, out)
		}
	})
	if s.Failed() {
		s.FailNow()
	}
	for _, h := range []host{host1, host2} {
		s.show(h, append([]string{"host", "fresh"}, how...)...)
	}
}

// both does something on both hosts at once.
func both(do func(host)) {
	var wg sync.WaitGroup
	for _, h := range []host{host1, host2} {
		wg.Go(func() { do(h) })
	}
	wg.Wait()
}

// plug adds guests.
func (s *story) plug(guests ...guest) {
	s.Helper()
	for _, g := range guests {
		s.run(g.host, append([]string{"guest", "add", g.name, g.mac}, g.addrs...)...)
	}
}

// permit writes what a guest may be, and waits until that is in force.
func (s *story) permit(g guest, flags ...string) {
	s.Helper()
	s.seq++
	seq := fmt.Sprintf("%s-%d", g.name, s.seq)
	s.run(g.host, append([]string{"vifguard", "set", g.name, "--seq", seq}, flags...)...)
	s.inForce(g, seq)
}

func (s *story) inForce(g guest, seq string) {
	s.Helper()
	s.do(g.host, "ovs-vsctl", "--timeout=30", "wait-until", "Interface", g.name, "external_ids:vifguard-seq="+seq)
}

// status is what "vifguard status" says of one VIF.
type status struct {
	Port    string            `json:"port"`
	State   string            `json:"state"`
	InForce bool              `json:"in_force"`
	Checks  string            `json:"checks"`
	Drops   map[string]uint64 `json:"drops"`
	Error   string            `json:"error"`
}

func (s *story) statuses(h host) []status {
	s.Helper()
	list, err := s.tryStatuses(h)
	if err != nil {
		s.Fatal(err)
	}
	return list
}

func (s *story) tryStatuses(h host) ([]status, error) {
	out, err := h.command(s.Context(), "vifguard", "status", "-o", "json").Output() // without the notes on standard error
	var list []status
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: vifguard status: %w", h, err)
	}
	return list, nil
}

func (s *story) status(g guest) status {
	s.Helper()
	for _, v := range s.statuses(g.host) {
		if v.Port == g.name {
			return v
		}
	}
	s.Fatalf("%s: vifguard status doesn't list %s", g.host, g.name)
	return status{}
}

// drops are a guest's drop counters.
func (s *story) drops(g guest) map[string]uint64 {
	s.Helper()
	drops := s.status(g).Drops
	maps.DeleteFunc(drops, func(_ string, n uint64) bool { return n == 0 })
	return drops
}

// report collects what the scenarios show.
var report = &page{}

// page is the lab's report.
type page struct {
	mu      sync.Mutex
	entries []*entry
}

// entry is one scenario in the report.
type entry struct {
	title  string
	begun  time.Time
	took   time.Duration
	failed bool
	checks int
	forged int // frames that guarded guests had no right to send
	passed int // of those, how many arrived somewhere
	facts  []string
}

func (p *page) add(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = append(p.entries, e)
}

// String is the report on one page.
func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	var total entry
	fmt.Fprintf(&b, "vifguard lab, %s\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	for _, e := range p.entries {
		verdict := "passed"
		if e.failed {
			verdict = "FAILED"
		}
		fmt.Fprintf(&b, "\n%-6s  %-66s %3d checks %4.0f s\n", verdict, e.title, e.checks, e.took.Seconds())
		for _, f := range e.facts {
			fmt.Fprintf(&b, "        %s\n", f)
		}
		if e.forged > 0 {
			fmt.Fprintf(&b, "        %d forged frames, %d arrived\n", e.forged, e.passed)
		}
		total.checks += e.checks
		total.forged += e.forged
		total.passed += e.passed
		total.took += e.took
	}
	fmt.Fprintf(&b, "\n%d scenarios, %d checks in %.0f s; %d forged frames, %d arrived\n",
		len(p.entries), total.checks, total.took.Seconds(), total.forged, total.passed)
	return b.String()
}

// publish prints the report, and writes it to a file if one is named.
func (p *page) publish(path string) error {
	text := p.String()
	fmt.Printf("\n%s\n", text)
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
