package drops

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
	"github.com/vifguard/vifguard/test/lab"
)

var (
	t0  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	vif = VIF{Bridge: "br0", Port: "tap1", UUID: "u1", VM: "web1"}
)

func after(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

// claiming is a sample with the nth Ethernet source.
func claiming(n int) Sample {
	return Sample{VIF: vif, Reason: "mac", Claim: frame.Claim{EthSrc: model.MAC{2, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)}}, Frame: "f"}
}

var byAddr = cmpopts.EquateComparable(netip.Addr{})

const rule = 42

// more is what an event says of those without an own line.
func more(e *Event) string {
	switch {
	case e == nil:
		return "nothing"
	case e.More == nil:
		return "one"
	}
	return e.More.String()
}

func TestFold(t *testing.T) {
	type step struct {
		at      float64
		claim   int    // of a sample; 0 closes the window
		counter uint64 // when closing
		want    string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"one frame is one line", []step{{0, 1, 0, "one"}, {10, 0, 1, "nothing"}, {20, 0, 1, "nothing"}}},
		{"the same again after the window is a new line", []step{{0, 1, 0, "one"}, {10, 0, 1, "nothing"}, {15, 1, 0, "one"}, {25, 0, 2, "nothing"}}},
		{"a flood is summed up by the counter", []step{
			{0, 1, 0, "one"}, {1, 1, 0, "nothing"}, {2, 1, 0, "nothing"}, {10, 0, 12401, "12,400 more in 10 s"},
			{11, 1, 0, "nothing"}, {20, 0, 12501, "100 more in 10 s"}, {30, 0, 12501, "nothing"}, {31, 1, 0, "one"}}},
		{"other claims have lines of their own, but few", []step{
			{0, 1, 0, "one"}, {0, 2, 0, "one"}, {0, 3, 0, "one"}, {0, 4, 0, "one"}, {0, 5, 0, "one"}, {0, 6, 0, "nothing"},
			{10, 0, 7, "2 more in 10 s, 6 claims"}, {11, 7, 0, "one"}, {20, 0, 8, "nothing"}}},
		{"a counter that lags behind loses nothing", []step{
			{0, 1, 0, "one"}, {9, 1, 0, "nothing"}, {10, 0, 1, "nothing"}, {20, 0, 2, "1 more in 10 s"}, {30, 0, 2, "nothing"}}},
		{"a counter that starts again", []step{
			{0, 1, 0, "one"}, {1, 1, 0, "nothing"}, {10, 0, 501, "500 more in 10 s"},
			{11, 1, 0, "nothing"}, {20, 0, 20, "at least 20 more in 10 s (samples only)"}, {21, 1, 0, "nothing"}, {30, 0, 25, "5 more in 10 s"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := NewFold()
			for i, s := range test.steps {
				var e *Event
				if s.claim > 0 {
					e = f.Sample(after(s.at), rule, claiming(s.claim))
				} else {
					for _, cookie := range f.Due(after(s.at)) {
						e = f.Close(after(s.at), cookie, s.counter, true)
					}
				}
				if diff := cmp.Diff(s.want, more(e)); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestUnknownCounterIsSaid(t *testing.T) {
	f := NewFold()
	for range 4 {
		f.Sample(t0, rule, claiming(1))
	}
	if got := more(f.Close(after(10), rule, 0, false)); got != "at least 3 more in 10 s (samples only)" {
		t.Error(got)
	}
}

func TestBaselineIsNobodysNews(t *testing.T) {
	f := NewFold()
	f.Baseline(rule, 1000)
	f.Sample(t0, rule, claiming(1))
	f.Sample(t0, rule, claiming(1))
	f.Baseline(rule, 5000) // known already
	if got := more(f.Close(after(10), rule, 1002, true)); got != "1 more in 10 s" {
		t.Error(got)
	}
}

// A flood that uses up a VIF's meter doesn't hide what else its guest does.
func TestUnsampledIsTold(t *testing.T) {
	f := NewFold()
	const other = 43
	f.Sample(t0, rule, claiming(1))
	f.Sample(t0, rule, claiming(1))
	f.Close(after(10), rule, 1000, true)
	e := f.Unsampled(after(10), rule, other, "ip", 7)
	if got := more(e); got != "7 more in 10 s" {
		t.Fatal(got)
	}
	if got := e.String(); got != "2026-01-02T03:04:15Z br0 tap1 vm=web1 dropped ip: ... 7 more in 10 s, none of them sampled" {
		t.Error(got)
	}
	if e := f.Unsampled(after(20), rule, other, "ip", 7); e != nil {
		t.Errorf("told twice: %v", e)
	}
	if got := more(f.Sample(after(21), other, claiming(2))); got != "one" {
		t.Error(got)
	}
	if e := f.Unsampled(after(30), rule, other, "ip", 20); e != nil {
		t.Errorf("its own window tells that: %v", e)
	}
	if got := more(f.Close(after(31), other, 20, true)); got != "12 more in 10 s" {
		t.Error(got)
	}
}

// Whatever is sampled, every packet that the switch has counted is in exactly one event
// in the end, and there are few events.
func TestEveryPacketIsTold(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := NewFold()
		now, counter, told, lines := t0, uint64(0), uint64(0), 0
		tell := func(e *Event) {
			switch {
			case e == nil:
				return
			case e.More != nil:
				told += e.More.Packets
			default:
				told++
			}
			lines++
		}
		second := func(packets int) {
			now = now.Add(time.Second)
			for _, cookie := range f.Due(now) {
				tell(f.Close(now, cookie, counter, true)) // before this second's are counted
			}
			for range min(packets, 10) {
				tell(f.Sample(now, rule, claiming(1+r.IntN(100000))))
			}
			counter += uint64(packets)
		}
		for range 300 {
			second(r.IntN(2) * r.IntN(5000))
		}
		for range 40 {
			second(0)
		}
		if told != counter {
			t.Errorf("seed %d: %d of %d packets told", seed, told, counter)
		}
		if limit := 340/10*(newPerWindow+1) + 2*newPerWindow; lines > limit {
			t.Errorf("seed %d: %d lines", seed, lines)
		}
		if len(f.Due(now.Add(time.Hour))) != 0 {
			t.Errorf("seed %d: a window is open", seed)
		}
		f.Retain(func(uint64) bool { return false })
		if len(f.groups) != 0 {
			t.Errorf("seed %d: %d groups left", seed, len(f.groups))
		}
	}
}

// Many VIFs at once get no more lines than one, but lose nothing.
func TestLinesAreLimited(t *testing.T) {
	f := NewFold()
	lines, told := 0, uint64(0)
	tell := func(e *Event) {
		if e != nil {
			lines++
			told++
			if e.More != nil {
				told += e.More.Packets - 1
			}
		}
	}
	const rules = 1000
	for i := range rules {
		tell(f.Sample(t0, uint64(i), claiming(1)))
	}
	if lines != linesBurst {
		t.Errorf("%d lines at once, want %d", lines, linesBurst)
	}
	for s := range 120 {
		for _, cookie := range f.Due(after(float64(s))) {
			tell(f.Close(after(float64(s)), cookie, 1, true))
		}
	}
	if told != rules {
		t.Errorf("%d of %d packets told", told, rules)
	}
}

func TestText(t *testing.T) {
	theft := lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:66"), netip.MustParseAddr("169.254.0.1"))
	s := NewSample(VIF{Bridge: "br0", Port: "tap1", VM: "1-2", VMName: "web one\x1b"}, "arp", false, theft)
	e := s.event(t0)
	const text = "ARP announcement: 169.254.0.1 is at 52:54:00:00:00:66, eth 52:54:00:00:00:66 > ff:ff:ff:ff:ff:ff type 0x0806"
	if diff := cmp.Diff(`2026-01-02T03:04:05Z br0 tap1 vm="web one\x1b" dropped arp: `+text, e.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	e.Passed, e.VMName, e.More = true, "", &More{Packets: 1234567, Exact: true, Seconds: 10, Claims: 3}
	if diff := cmp.Diff("2026-01-02T03:04:05Z br0 tap1 vm=1-2 would drop arp: ... 1,234,567 more in 10 s, 3 claims; the last: "+text, e.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever a guest sends, its event is one short line of printable characters.
func FuzzSample(f *testing.F) {
	f.Add(lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:66")))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewSample(vif, "mac", false, b)
		e := s.event(t0)
		text := e.String()
		if len(text) > 500 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", text)
		}
	})
}

func TestClaims(t *testing.T) {
	c := NewClaims(t0)
	constant := claiming(1)
	for i := range 10 * maxClaims {
		c.Add(after(float64(i)), &constant)
		s := claiming(i + 2)
		c.Add(after(float64(i)), &s)
	}
	e := constant.event(after(9))
	c.Count(&e)
	e.More = &More{Packets: 99}
	c.Count(&e)
	r := c.Report()
	if len(r.VIFs) != 1 || len(r.VIFs[0].Claims) != maxClaims {
		t.Fatalf("%d VIFs", len(r.VIFs))
	}
	v := r.VIFs[0]
	want := ClaimCount{Reason: "mac", Claim: constant.Claim, Frame: "f", Samples: 10 * maxClaims, First: t0, Last: after(10*maxClaims - 1)}
	if diff := cmp.Diff(want, v.Claims[0], byAddr); diff != "" {
		t.Errorf("the constant claim (-want +got):\n%s", diff)
	}
	if v.Others != 10*maxClaims-(maxClaims-1) || v.Drops["mac"] != 100 {
		t.Errorf("%d others, %d packets", v.Others, v.Drops["mac"])
	}
	again := NewClaims(after(1e6))
	again.Restore(r)
	if diff := cmp.Diff(r, again.Report(), byAddr); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
}

func TestVIFsAreLimited(t *testing.T) {
	c := NewClaims(t0)
	for i := range 2 * maxVIFs {
		s := claiming(1)
		s.VIF.UUID = fmt.Sprint(i)
		c.Add(after(float64(i)), &s)
	}
	r := c.Report()
	if len(r.VIFs) != maxVIFs || len(c.vifs) != maxVIFs {
		t.Errorf("%d VIFs, want %d", len(r.VIFs), maxVIFs)
	}
	for _, v := range r.VIFs {
		if v.Last.Before(after(maxVIFs)) {
			t.Errorf("VIF of %s is remembered, newer ones aren't", v.Last)
		}
	}
}
