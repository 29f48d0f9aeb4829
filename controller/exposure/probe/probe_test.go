package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

const bridge = "br0"

func newSwitch(tb testing.TB) *lab.T {
	tb.Helper()
	sw := lab.New(tb, lab.Options{})
	sw.MustBridge(bridge, "fail_mode=secure")
	return sw
}

// TestReader: hidden flows are read when a fact has changed and once more after that, and
// otherwise seldom.
func TestReader(t *testing.T) {
	sw := newSwitch(t)
	b := &model.Bridge{Name: bridge}
	h := &model.Host{Facts: &model.HostFacts{}}
	r := &Reader{RunDir: sw.Dir, Bridge: bridge}
	// took is what the reading before is to have taken: as long as a reading may wait
	// then, the test needs no clock.
	mustRead := func(took time.Duration, want int) {
		t.Helper()
		r.took = took
		if got := r.Read(t.Context(), h, b); got.Err != nil || len(got.Flows) != want {
			t.Errorf("%d hidden flows, want %d; %v", len(got.Flows), want, got.Err)
		}
	}
	const (
		inBand = 7 // flows for one remote
		quick  = 0
		calm   = time.Second // long enough to wait if nothing has changed
		slow   = time.Minute // long enough to wait if something has
	)
	manager := func(on bool) {
		if on {
			sw.MustVsctl("set-manager", "tcp:192.0.2.9:6640")
		} else {
			sw.MustVsctl("del-manager")
		}
	}
	mustRead(quick, 0) // the first time
	mustRead(quick, 0) // once more
	manager(true)
	mustRead(calm, 0) // nothing says that anything has changed
	h.Facts = &model.HostFacts{Managers: []model.Remote{{Target: "tcp:192.0.2.9:6640"}}}
	mustRead(slow, 0) // it has, but readings take too much
	mustRead(quick, inBand)
	manager(false)
	mustRead(slow, inBand)
	mustRead(quick, 0) // once more
	manager(true)
	mustRead(calm, 0)
	r.Forget()
	mustRead(slow, inBand)
	manager(false)
	mustRead(quick, 0) // long ago, for what it took
	b.FailMode = "secure"
	manager(true)
	mustRead(quick, inBand)
}

func TestReaderFails(t *testing.T) {
	sw := newSwitch(t)
	r := &Reader{RunDir: t.TempDir(), Bridge: bridge}
	b := &model.Bridge{Name: bridge}
	if got := r.Read(t.Context(), nil, b); got.Err == nil {
		t.Fatal("no error without a daemon")
	}
	r.RunDir, r.took, r.again = sw.Dir, time.Minute, false
	if got := r.Read(t.Context(), nil, b); got.Err == nil {
		t.Error("it was read again at once, after a reading that took a minute")
	}
	r.took = 0
	if got := r.Read(t.Context(), nil, b); got.Err != nil {
		t.Error(got.Err)
	}
	if got := Hidden(t.Context(), sw.Dir, "nobody"); got.Err == nil || got.Flows != nil {
		t.Errorf("a bridge that isn't there: %+v", got)
	}
}

// TestHiddenTakesNoAnswerForNone: a daemon that answers something else, or nothing.
func TestHiddenTakesNoAnswerForNone(t *testing.T) {
	for _, answer := range []string{``, `{"id":1,"result":"","error":null}`, `{"id":1,"result":"ok","error":null}`,
		`{"id":1,"result":"duration=0s, n_packets=0, n_bytes=0, prio=180008,actions=NORMAL\n","error":null}`} {
		dir, err := os.MkdirTemp("", "vg")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		l, err := net.Listen("unix", filepath.Join(dir, "ovs-vswitchd.1.ctl"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte("1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(answer))
		}()
		if got := Hidden(t.Context(), dir, bridge); got.Err == nil {
			t.Errorf("%q: %+v", answer, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	all, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range all {
		for _, p := range list {
			if p.Addr() == netip.MustParseAddr("127.0.0.1") {
				return
			}
		}
	}
	lab.Unmet(t, fmt.Sprintf("a loopback address: %v", all))
}

// BenchmarkHidden: what reading hidden flows costs ovs-vswitchd, beside a dump of all
// flows over OpenFlow, which a comparison makes anyway.
func BenchmarkHidden(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		sw := newSwitch(b)
		conn, err := openflow.Dial(b.Context(), sw.Mgmt(bridge))
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		fill(b, conn, n)
		b.Run(fmt.Sprintf("%d VIFs, hidden", n), func(b *testing.B) {
			daemon(b, sw, func() error { return Hidden(b.Context(), sw.Dir, bridge).Err })
		})
		b.Run(fmt.Sprintf("%d VIFs, OpenFlow", n), func(b *testing.B) {
			daemon(b, sw, func() error { _, err := conn.Flows(b.Context(), 0, 0); return err })
		})
	}
}

// daemon runs a benchmark and reports the CPU time that it takes ovs-vswitchd.
func daemon(b *testing.B, sw *lab.T, do func() error) {
	b.Helper()
	before := cpu(b, sw)
	for b.Loop() {
		if err := do(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpu(b, sw)-before).Seconds()*1000/float64(b.N), "daemon-ms/op")
}

// cpu is the CPU time of ovs-vswitchd so far, in ticks of 10 ms.
func cpu(b *testing.B, sw *lab.T) time.Duration {
	b.Helper()
	pid, err := os.ReadFile(filepath.Join(sw.Dir, "ovs-vswitchd.pid"))
	if err != nil {
		b.Fatal(err)
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "stat"))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	words := strings.Fields(rest)
	user, _ := strconv.Atoi(words[11])
	system, _ := strconv.Atoi(words[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// fill programs n VIFs under all checks.
func fill(b *testing.B, conn *openflow.Conn, n int) {
	b.Helper()
	config := model.ResolveBridge(&model.Bridge{Name: bridge, ExternalIDs: map[string]string{model.KeyChecks: "mac,arp,ip"}})
	pipeline := flows.Pipeline{Exit: -1}
	rules := flows.Shared()
	for i := range n {
		row := &model.Interface{Name: fmt.Sprintf("tap%d", i), OFPort: uint32(i + 1), ExternalIDs: map[string]string{
			model.KeyAttachedMAC: fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&0xff),
			model.KeyAddresses:   fmt.Sprintf("10.0.%d.%d,2001:db8::%x", i>>8, i&0xff, i+1),
		}}
		p := model.Resolve(&config, nil, row)
		rules = append(rules, flows.Compile(flows.Port{VIF: flows.VIFID(i + 1), InPort: row.OFPort, Policy: &p})...)
	}
	entries, err := openflow.EncodeAll(rules, pipeline)
	if err == nil {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		err = conn.Commit(ctx, flows.Diff(entries, nil))
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d VIFs: %d flows", n, len(entries))
}
