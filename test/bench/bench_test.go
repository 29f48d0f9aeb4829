package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/test/lab"
)

// The control plane's rows come about, at sizes whose figures mean nothing.
func TestQuick(t *testing.T) {
	lab.Need(t, lab.Root, lab.OVS)
	program := filepath.Join(t.TempDir(), "vifguard")
	if err := lab.GoBuild(program, "../../cmd/vifguard"); err != nil {
		t.Fatal(err)
	}
	r := &report{out: t.Output()}
	if err := run(t.Context(), r, options{program: program, only: "control,plug", quick: true, ovn: 1}); err != nil {
		t.Fatal(err)
	}
	table := r.table("about")
	for _, want := range []string{"cold start, N = 40", "restart with nothing to change", "plugged one by one"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no row %q:\n%s", want, table)
		}
	}
	for _, x := range r.rows {
		if x.reach == "0" && !x.ok {
			t.Errorf("%s: %s", x.measure, x.own)
		}
	}
}

func TestChosen(t *testing.T) {
	if list, err := chosen("plug,ovn"); err != nil || len(list) != 2 || list[0].name != "plug" {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := chosen("plug,oven"); err == nil || !strings.Contains(err.Error(), `"oven"`) {
		t.Errorf("error %v", err)
	}
	for _, sizes := range []string{"", "10", "10,x", "20,10", "0,10"} {
		if _, err := newBench(&report{}, options{sizes: sizes, ovn: 1}); err == nil {
			t.Errorf("-sizes %q is accepted", sizes)
		}
	}
}

func TestStatistics(t *testing.T) {
	list := []time.Duration{4, 1, 3, 2}
	if got := percentile(list, 50); got != 3 {
		t.Errorf("median %d", got)
	}
	if got := percentile(list, 99); got != 4 {
		t.Errorf("99th percentile %d", got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median %g", got)
	}
	if got := median(ratios([]float64{2, 9, 6}, []float64{1, 3, 6})); got != 2 {
		t.Errorf("median of the ratios %g", got)
	}
}

func TestBetween(t *testing.T) {
	var list []float64
	for i := range 15 {
		list = append(list, float64((i*7)%15+1))
	}
	// The signs of fifteen values: 1, 15, 105 and 455 of 32768 cases, then 1365.
	if got, want := between(list), (interval{4, 8, 12}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := between([]float64{3, 1, 2}), (interval{1, 2, 3}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for least, want := range map[float64][2]bool{0.9: {true, false}, 0.97: {true, false}, 0.98: {false, true}, 0.99: {false, true}, 1: {false, false}} {
		if ok, unclear := (interval{0.95, 0.97, 0.99}).reaches(least); [2]bool{ok, unclear} != want {
			t.Errorf("reaches(%g) = %v, %v", least, ok, unclear)
		}
	}
}

// The verdicts of rows, and which of them count.
func TestVerdicts(t *testing.T) {
	r := &report{out: t.Output()}
	for _, x := range []row{{ok: true}, {unclear: true}, {noted: true}, {}} {
		r.add(x)
	}
	if r.missed() != 1 {
		t.Errorf("%d misses", r.missed())
	}
	if table := r.table(""); strings.Count(table, "| unclear |") != 1 || strings.Count(table, "| **miss** |") != 1 || strings.Count(table, "| ok |") != 1 {
		t.Error(table)
	}
}

func TestCPUs(t *testing.T) {
	set := func(cpus ...int) (s unix.CPUSet) {
		for _, cpu := range cpus {
			s.Set(cpu)
		}
		return s
	}
	if one, others := split(set(1, 2, 40)); one != set(1) || others != set(2, 40) {
		t.Errorf("%v, %v", one, others)
	}
	if one, others := split(set(3)); one != set(3) || others != set(3) {
		t.Errorf("%v, %v", one, others)
	}
	if got := mask(set(2, 70)); got != "00000040,00000000,00000004" {
		t.Error(got)
	}
	// All threads are moved, and what starts later follows them.
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	one, _ := split(before)
	if err := pin(child.Process.Pid, one); err != nil {
		t.Fatal(err)
	}
	var after unix.CPUSet
	if err := unix.SchedGetaffinity(child.Process.Pid, &after); err != nil || after != one {
		t.Errorf("%v, %v", after, err)
	}
	if err := pin(1<<22+1, one); err == nil {
		t.Error("a process that doesn't exist is pinned")
	}
}

func TestCPUOf(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
	}
	after, err := cpuOf(os.Getpid())
	if used := after - before; err != nil || used <= 0 || used > 10*time.Second {
		t.Errorf("%v, %v", used, err)
	}
}

func TestParsers(t *testing.T) {
	const dev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       7    0    0    0     0          0         0      100       7    0    0    0     0       0          0
  eth0: 4200000   42000    0    0    0     0          0         0        9       1    0    0    0     0       0          0
`
	if n, err := parseReceived(dev); n != 42000 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := parseReceived("eth0: x y\n"); err == nil {
		t.Error("counters that aren't numbers are read")
	}
	const stats = `main thread:
  packets received: 12
  emc hits: 2
  megaflow hits: 9
  avg. subtable lookups per megaflow hit: 1.56
`
	if got, err := subtables(stats); got != 1.56 || err != nil {
		t.Errorf("%g, %v", got, err)
	}
	if _, err := subtables("main thread:\n"); err == nil {
		t.Error("statistics without subtables are read")
	}
	const dump = `flow-dump from the main thread:
recirc_id(0),in_port(2),packet_type(ns=0,id=0),eth(src=52:54:00:00:00:00),eth_type(0x0800),ipv4(src=10.0.0.0,frag=no), packets:1, bytes:60, used:0.1s, actions:3
recirc_id(0),in_port(3),packet_type(ns=0,id=0),eth(src=52:54:00:00:00:01),eth_type(0x0800),ipv4(src=10.0.0.1,frag=no), packets:1, bytes:60, used:0.1s, actions:2
recirc_id(0),in_port(3),packet_type(ns=0,id=0),eth(src=52:54:00:00:00:01),eth_type(0x0800),ipv4(src=128.0.0.0/128.0.0.0,frag=no), packets:1, bytes:60, used:never, actions:drop
`
	if got, want := countMegaflows(dump), (megaflows{3, 2}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
