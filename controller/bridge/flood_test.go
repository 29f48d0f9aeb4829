package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// counters is what a switch has refused, as a test wants it.
type counters struct {
	total uint64
	of    map[flows.VIFID]uint64
	reads int
}

func (c *counters) add(id flows.VIFID, n uint64) {
	c.total += n
	c.of[id] += n
}

func (c *counters) read() (map[flows.VIFID]uint64, error) {
	c.reads++
	now := make(map[flows.VIFID]uint64)
	for id, n := range c.of {
		now[id] = n
	}
	return now, nil
}

// Each step is a second. Its words are VIF:FRAMES that are counted in it, the answer is
// who floods; "!" that the counters of the VIFs were read.
func TestFloodMeter(t *testing.T) {
	limits := map[flows.VIFID]model.Flood{1: 1000, 2: 100}
	for _, test := range []struct {
		name  string
		steps string
		want  string
	}{
		{"calm costs no counters", "1:50 / 1:50 2:50 / 2:100", "- - -"},
		{"below its limit", "1:900 / 1:900 / 1:900 / 1:900", "! ! ! !"},
		{"at its limit", "1:1000 / 1:1000 / 1:1000 / 1:1000", "! ! ! !"},
		{"far above it", "1:10000", "!1=10000"},
		{"far above it, begun before the look", "1:1000 / 1:10000", "! !1=10000"},
		{"a little above it", "1:1400 / 1:1400 / 1:1400 / 1:1400 / 1:1400 / 1:1400", "! ! ! ! ! !1=1400"},
		{"one of two", "1:500 2:1000 / 1:500 2:1000", "!2=1000 !2=1000"},
		{"both", "1:5000 2:1000", "!1=5000,2=1000"},
		{"without a limit", "3:100000 / 3:100000 / 3:100000", "! ! !"},
		{"counted late, after two seconds", "1:0 / 1:0 / 1:2900", "- - !"},
		{"in turns", "1:2500 / 1:0 / 1:2500 / 1:0 / 1:2500 / 1:2500", "! - ! - ! !1=2500"},
		{"what came in calm seconds doesn't count", strings.Repeat("2:99 / ", 30) + "2:99 3:5000", strings.Repeat("- ", 30) + "!"},
		{"nor does it hide what comes then", strings.Repeat("2:99 / ", 30) + "2:9999", strings.Repeat("- ", 30) + "!2=9999"},
		{"flows that are new", "1:300 / 1=0 1:3900", "! !1=3900"},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := time.Now()
			var m floodMeter
			c := counters{of: make(map[flows.VIFID]uint64)}
			c.add(1, 7000) // long ago
			if _, err := m.measure(now, c.total, limits, c.read); err != nil {
				t.Fatal(err)
			}
			var got []string
			for step := range strings.SplitSeq(test.steps, " / ") {
				for _, word := range strings.Fields(step) {
					var id flows.VIFID
					var n uint64
					if _, err := fmt.Sscanf(word, "%d:%d", &id, &n); err == nil {
						c.add(id, n)
					} else { // 1=0
						delete(c.of, 1)
					}
				}
				now, c.reads = now.Add(time.Second), 0
				flooding, err := m.measure(now, c.total, limits, c.read)
				if err != nil {
					t.Fatal(err)
				}
				text := "-"
				if c.reads > 0 {
					text = "!"
				}
				var who []string
				for id := range flows.VIFID(4) {
					if rate, ok := flooding[id]; ok {
						who = append(who, fmt.Sprintf("%d=%.0f", id, rate))
					}
				}
				got = append(got, text+strings.Join(who, ","))
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is dropped in quarantine says nothing of what the policy refuses.
func TestRefused(t *testing.T) {
	var list []openflow.Flow
	for i, cookie := range []uint64{
		flows.NewCookie(1, model.ReasonMAC), flows.NewCookie(1, model.ReasonIP), flows.NewCookie(1, model.ReasonFlood), flows.NewCookie(2, model.ReasonND),
		flows.NewCookie(0, model.ReasonUnknownPort), flows.NewCookie(3, model.ReasonFlood),
	} {
		list = append(list, openflow.Flow{Entry: flows.Entry{Cookie: cookie}, Packets: 1 << i})
	}
	if diff := cmp.Diff(map[flows.VIFID]uint64{1: 1 + 2, 2: 8}, refused(list)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A look that takes long is divided by the time that has really passed.
func TestFloodMeterDividesByRealTime(t *testing.T) {
	now := time.Now()
	var m floodMeter
	c := counters{of: make(map[flows.VIFID]uint64)}
	limits := map[flows.VIFID]model.Flood{1: 1000}
	for range 5 {
		flooding, err := m.measure(now, c.total, limits, c.read)
		if err != nil || len(flooding) > 0 {
			t.Fatalf("%v, %v", flooding, err)
		}
		now = now.Add(10 * time.Second)
		c.add(1, 9900)
	}
}

func TestFloodMeterPassesErrorsOn(t *testing.T) {
	fault := errors.New("fault")
	var m floodMeter
	fails := func() (map[flows.VIFID]uint64, error) { return nil, fault }
	if _, err := m.measure(time.Now(), 1, nil, fails); !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
}

// Each further quarantine is twice as long, up to a limit, until the VIF has been calm.
func TestQuarantinesGrow(t *testing.T) {
	times := defaultFloodTimes
	now := time.Now()
	var last *quarantine
	for i, test := range []struct{ calm, want time.Duration }{
		{0, 10 * time.Second},
		{2 * time.Second, 20 * time.Second},
		{59 * time.Second, 40 * time.Second},
		{time.Second, 80 * time.Second},
		{79 * time.Second, 160 * time.Second},
		{0, 5 * time.Minute},
		{299 * time.Second, 5 * time.Minute},
		{300 * time.Second, 10 * time.Second},
		{time.Minute, 10 * time.Second},
	} {
		now = now.Add(test.calm)
		last = times.again(last, now, 5000, 1000)
		if last.length != test.want {
			t.Errorf("%d: %s, want %s", i, last.length, test.want)
		}
		if got := time.Duration(last.timeout) * time.Second; got != test.want+times.Spare {
			t.Errorf("%d: the switch ends it after %s, want %s", i, got, test.want+times.Spare)
		}
		now = last.end()
	}
	last.begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if want := "10s until 2026-01-02T03:04:15Z: 5000 refused frames/s, the limit is 1000"; last.String() != want {
		t.Errorf("%q, want %q", last, want)
	}
}

// A switch that doesn't tell what it counts is asked once in a session, and everything
// else goes on.
func TestFloodsOfASwitchThatDoesntTell(t *testing.T) {
	const hello, failure, multipart, barrier, barred = 0, 1, 18, 20, 21
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan int, 1)
	go func() {
		n := 0
		defer func() { asked <- n }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for m := make([]byte, 8); ; {
			if _, err := io.ReadFull(c, m); err != nil {
				return
			}
			switch m[1] {
			case hello:
			case barrier:
				m[1] = barred
			case multipart:
				n++
				body := make([]byte, 8)
				if _, err := io.ReadFull(c, body); err != nil {
					return
				}
				m = append(m, 0, 1, 0, 2) // bad request, bad multipart type
				m[1], m[3] = failure, byte(len(m))
			}
			if _, err := c.Write(m); err != nil {
				return
			}
			m = m[:8]
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := openflow.Dial(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(t.Output())
	f := newFloods(FloodTimes{}, logrus.NewEntry(log), nil)
	ledger := ledger{target: &Target{}, limits: map[flows.VIFID]model.Flood{1: 1}}
	first := &session{Switch: conn}
	for range 3 {
		if err := f.measure(ctx, first, &ledger); err != nil {
			t.Error(err)
		}
	}
	conn.Close()
	if n := <-asked; n != 1 {
		t.Errorf("asked %d times", n)
	}
	if err := newFloods(FloodTimes{}, logrus.NewEntry(log), nil).measure(ctx, &session{Switch: conn}, &ledger); err == nil {
		t.Error("a session that is lost is no error")
	}
}
