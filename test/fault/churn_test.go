package fault

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/unixctl"
	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

var churnFor = flag.Duration("fault.churn", 20*time.Second, "how long TestChurn plugs and unplugs ports")

const (
	churnPorts = 1000 // at most, at once
	churnBatch = 40   // ports that one transaction changes

	// restartEvery is the time between two restarts of the daemons; a short churn has
	// two.
	restartEvery = 30 * time.Second

	// judgeAfter is the length from which on memory is judged.
	judgeAfter = 5 * time.Minute
)

// TestChurn plugs, changes and unplugs ports under an agent that is a process of its
// own, and restarts both daemons from time to time. In the end the switch has exactly
// the flows of an agent that starts afresh; in a long run, memory, goroutines and file
// descriptors must be flat. It is "make soak", too.
func TestChurn(t *testing.T) {
	sw := lab.New(t, lab.Options{})
	sw.MustBridge(bridge, "fail_mode=secure", "external_ids:port-security=auto")
	a := startSampled(t, sw.Switch)
	c := &churn{T: sw, t: t, random: rand.New(rand.NewPCG(1, 2)), ports: map[int]int{}, began: time.Now()}
	c.fill()
	t.Logf("%d ports after %s", len(c.ports), time.Since(c.began).Round(time.Millisecond))
	var samples []sample
	restarted := time.Now()
	for time.Since(c.began) < *churnFor {
		c.round()
		if time.Since(restarted) > min(restartEvery, *churnFor/3) {
			c.restart()
			restarted = time.Now()
		}
		c.settle()
		if len(samples) == 0 || time.Since(c.began)-samples[len(samples)-1].at > *churnFor/120 {
			samples = append(samples, a.sample(t, time.Since(c.began)))
		}
	}
	c.exact()
	c.clear()
	c.exact()
	samples = append(samples, a.sample(t, time.Since(c.began)))
	t.Logf("%d rounds, %d ports plugged, %d changed, %d unplugged, %d restarts of each daemon in %s",
		c.rounds, c.plugged, c.changed, c.unplugged, c.restarts, time.Since(c.began).Round(time.Second))
	judge(t, samples[:len(samples)-1])
	t.Logf("without ports: %s", samples[len(samples)-1])
}

// churn is the state of the plugging.
type churn struct {
	*lab.T
	t      *testing.T
	random *rand.Rand
	began  time.Time
	ports  map[int]int // those that are plugged, with the number of their last change

	rounds, plugged, changed, unplugged, restarts int
}

func (c *churn) name(n int) string { return fmt.Sprintf("tap%d", n) }

// fill plugs all ports in a few transactions.
func (c *churn) fill() {
	for first := 0; first < churnPorts; first += 100 {
		var args []string
		for n := first; n < first+100; n++ {
			args = append(args, c.plug(n)...)
		}
		c.MustVsctl(args[1:]...)
	}
	c.settle()
}

// round changes a random batch of ports in one transaction.
func (c *churn) round() {
	c.rounds++
	var args []string
	for _, n := range c.random.Perm(churnPorts)[:churnBatch] {
		switch _, plugged := c.ports[n]; {
		case !plugged:
			args = append(args, c.plug(n)...)
		case c.random.IntN(2) == 0:
			c.unplugged++
			delete(c.ports, n)
			args = append(args, "--", "del-port", c.name(n))
		default:
			c.changed++
			args = append(args, append([]string{"--", "set", "Interface", c.name(n)}, c.policy(n)...)...)
		}
	}
	c.MustVsctl(args[1:]...)
}

func (c *churn) plug(n int) []string {
	c.plugged++
	args := []string{"--", "add-port", bridge, c.name(n), "--", "set", "Interface", c.name(n), "type=dummy"}
	return append(args, c.policy(n)...)
}

// policy is one of several policies for a port, with the next number.
func (c *churn) policy(n int) []string {
	c.ports[n] = c.rounds
	addresses := fmt.Sprintf("10.%d.%d.1,2001:db8:%x::/64", n>>8, n&0xff, n)
	if c.random.IntN(2) == 0 {
		addresses += fmt.Sprintf(",192.0.2.%d", c.random.IntN(250)+1)
	}
	checks := []string{"mac", "mac,arp", "mac,arp,ip", "off", "auto"}[c.random.IntN(5)]
	return []string{
		fmt.Sprintf(`external_ids:attached-mac="52:54:00:00:%02x:%02x"`, n>>8, n&0xff),
		fmt.Sprintf("external_ids:allowed-addresses=%q", addresses),
		fmt.Sprintf("external_ids:port-security=%q", checks),
		fmt.Sprintf("external_ids:port-security-seq=%d", c.ports[n]),
	}
}

// settle waits until the last change of every port is in force.
func (c *churn) settle() {
	c.t.Helper()
	lab.EventuallyWithin(c.t, patience, "all ports are in force", c.settled)
}

func (c *churn) settled() error {
	out, err := c.Vsctl("--format=csv", "--data=bare", "--no-headings", "--columns=name,external_ids", "list", "Interface")
	if err != nil {
		return err
	}
	seen := 0
	for line := range strings.Lines(out) {
		n, err := strconv.Atoi(strings.TrimPrefix(strings.SplitN(line, ",", 2)[0], "tap"))
		if err != nil {
			continue // the bridge's own
		}
		seen++
		if want := fmt.Sprintf("vifguard-seq=%d", c.ports[n]); !slices.Contains(strings.FieldsFunc(line, isSeparator), want) {
			return fmt.Errorf("want %s: %s", want, line)
		}
	}
	if seen != len(c.ports) {
		return fmt.Errorf("%d ports, want %d", seen, len(c.ports))
	}
	return nil
}

func isSeparator(r rune) bool { return strings.ContainsRune(" ,\"\n", r) }

// restart ends both daemons and starts them again. The database is compacted first, as
// ovsdb-server does by itself every ten minutes: it reads its whole history at its start.
func (c *churn) restart() {
	c.t.Helper()
	c.restarts++
	ctl := unixctl.New(filepath.Join(c.Dir, "ovsdb.ctl"))
	defer ctl.Close()
	if _, err := ctl.Call(c.t.Context(), "ovsdb-server/compact"); err != nil {
		c.t.Fatal(err)
	}
	c.MustRun(c.KillOVSDB)
	c.MustRun(c.StartOVSDB)
	c.MustRun(c.KillVswitchd)
	c.MustRun(c.StartVswitchd)
}

func (c *churn) clear() {
	var args []string
	for n := range c.ports {
		args = append(args, "--", "del-port", c.name(n))
	}
	c.ports = map[int]int{}
	c.MustVsctl(args[1:]...)
}

func (c *churn) exact() {
	c.t.Helper()
	lab.EventuallyWithin(c.t, patience, "exactly the right flows", func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		defer cancel()
		return labagent.Exact(ctx, c.Switch, bridge)
	})
}

// sample is what an agent uses at one moment.
type sample struct {
	at         time.Duration
	rss, heap  int // bytes; the heap after a collection
	goroutines int
	fds        int
}

func (s sample) String() string {
	const mega = 1 << 20
	return fmt.Sprintf("%8s  RSS %6.1f MB  heap %6.1f MB  %d goroutines  %d file descriptors",
		s.at.Round(time.Second), float64(s.rss)/mega, float64(s.heap)/mega, s.goroutines, s.fds)
}

// judge prints the samples, and fails the test if a long run isn't flat: of the last
// quarter and the second one (the first is for warming up), neither RSS nor heap may
// have grown by more than a tenth and 2 MB, by their medians; goroutines and file
// descriptors not at all, by their maxima.
func judge(t *testing.T, samples []sample) {
	t.Helper()
	for n, s := range samples {
		if n%max(1, len(samples)/12) == 0 || n == len(samples)-1 {
			t.Log(s)
		}
	}
	if *churnFor < judgeAfter {
		return
	}
	quarter := len(samples) / 4
	early, late := samples[quarter:2*quarter], samples[len(samples)-quarter:]
	for name, of := range map[string]func(sample) int{"RSS": sample.rssOf, "heap": sample.heapOf} {
		was, is := median(early, of), median(late, of)
		if is > was+was/10+2<<20 {
			t.Errorf("%s isn't flat: %d bytes in the second quarter, %d in the last", name, was, is)
		}
	}
	for name, of := range map[string]func(sample) int{"goroutines": sample.goroutinesOf, "file descriptors": sample.fdsOf} {
		was, is := most(early, of), most(late, of)
		if is > was {
			t.Errorf("%d %s in the second quarter, %d in the last", was, name, is)
		}
	}
}

func (s sample) rssOf() int        { return s.rss }
func (s sample) heapOf() int       { return s.heap }
func (s sample) goroutinesOf() int { return s.goroutines }
func (s sample) fdsOf() int        { return s.fds }

func values(samples []sample, of func(sample) int) []int {
	var list []int
	for _, s := range samples {
		list = append(list, of(s))
	}
	slices.Sort(list)
	return list
}

func median(samples []sample, of func(sample) int) int {
	return values(samples, of)[len(samples)/2]
}

func most(samples []sample, of func(sample) int) int { return slices.Max(values(samples, of)) }

// sampled is an agent that says on request how many goroutines it has. It is this test's
// own program, started with an environment variable.
type sampled struct {
	*lab.Program
	out *lab.Log
}

const sampledEnv = "VIFGUARD_FAULT_AGENT"

func startSampled(t *testing.T, sw *lab.Switch) *sampled {
	t.Helper()
	a := &sampled{out: &lab.Log{}}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), sampledEnv+"="+sw.Endpoint())
	cmd.Stdout, cmd.Stderr = a.out, os.Stderr
	var err error
	if a.Program, err = lab.StartProgram(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// runSampled is the main function of such an agent.
func runSampled(endpoint string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Printf("%d %d\n", runtime.NumGoroutine(), m.HeapAlloc)
		}
	}()
	log := logrus.New()
	log.SetLevel(logrus.ErrorLevel)
	a, err := agent.New(agent.Config{Endpoint: endpoint, Log: log})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func (a *sampled) sample(t *testing.T, at time.Duration) sample {
	t.Helper()
	s := sample{at: at}
	proc := fmt.Sprintf("/proc/%d/", a.PID())
	statm, err1 := os.ReadFile(proc + "statm")
	fds, err2 := os.ReadDir(proc + "fd")
	var pages int
	_, err3 := fmt.Sscanf(string(statm), "%d %d", &pages, &pages)
	s.rss, s.fds = pages*os.Getpagesize(), len(fds)
	a.out.Reset()
	err4 := a.Signal(syscall.SIGUSR1)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the agent's figures", func() error {
		_, err := fmt.Sscanf(a.out.String(), "%d %d\n", &s.goroutines, &s.heap)
		return err
	})
	return s
}
