// Command bench measures vifguard beside what else does such work on the same machine
// in the same run, on private instances of Open vSwitch and OVN. It needs root,
// touches nothing of the host, and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vifguard/vifguard/test/docpart"
)

// bench is one run.
type bench struct {
	*report
	program string // the vifguard binary
	sizes   []int  // numbers of VIFs
	rounds  int    // of everything that is compared
	changes int    // of one VIF's addresses
	plugs   int    // of VIFs one by one
	ovn     int    // number of VIFs in the comparison with OVN
	idle    time.Duration
	bursts  int           // of traffic under each policy
	burst   time.Duration // how long one is measured
	flood   time.Duration // how long a flood lasts before its effect is measured

	profiles string // directory for profiles of the agent; "" for none
}

// sections are the parts of a run in the order of the report.
func sections() []section {
	return []section{
		{"control", (*bench).controlPlane},
		{"plug", (*bench).plugging},
		{"ovn", (*bench).beside},
		{"forward", (*bench).forwarding},
		{"flood", (*bench).flooding},
	}
}

type section struct {
	name string
	run  func(*bench, context.Context) error
}

func main() {
	var o options
	flag.StringVar(&o.program, "vifguard", defaultProgram(), "the vifguard program to measure")
	flag.StringVar(&o.only, "only", "", "sections to run, separated by commas; empty means all: control,plug,ovn,forward,flood")
	flag.BoolVar(&o.quick, "quick", false, "a short run at small sizes, to see that everything works; its figures mean nothing")
	flag.StringVar(&o.sizes, "sizes", "10,1000,10000", "numbers of VIFs, growing; the first is what the last is compared with")
	flag.IntVar(&o.ovn, "ovn", 500, "number of ports in the comparison with OVN")
	flag.StringVar(&o.profiles, "profiles", "", "directory for CPU profiles of the agent (go tool pprof) from the section control")
	flag.StringVar(&o.doc, "doc", "", "document to write the table into, between its markers, after a whole run")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, &report{out: os.Stdout}, o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line asks for.
type options struct {
	program, only, sizes, profiles, doc string
	quick                               bool
	ovn                                 int
}

func defaultProgram() string {
	self, err := os.Executable()
	if err != nil {
		return "vifguard"
	}
	return filepath.Join(filepath.Dir(self), "vifguard")
}

func run(ctx context.Context, r *report, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("it makes network namespaces, so it must run as root: make bench uses sudo for that")
	}
	b, err := newBench(r, o)
	if err != nil {
		return err
	}
	wanted, err := chosen(o.only)
	if err != nil {
		return err
	}
	begin := time.Now()
	about := aboutMachine(begin)
	fmt.Fprintln(r.out, about)
	for _, s := range wanted {
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Fprintf(r.out, "\n%d of %d rows miss what they should reach; %.0f s.\n", r.missed(), len(r.rows), time.Since(begin).Seconds())
	if o.doc == "" || o.quick || o.only != "" || o.profiles != "" {
		return nil
	}
	return docpart.Part{Path: o.doc, Command: "make bench"}.Write("\n" + r.table(about) + "\n")
}

// chosen returns the sections that are named, all of them for "".
func chosen(only string) ([]section, error) {
	if only == "" {
		return sections(), nil
	}
	var list []section
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(sections(), func(s section) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no section %q (want control, plug, ovn, forward or flood)", name)
		}
		list = append(list, sections()[i])
	}
	return list, nil
}

func newBench(r *report, o options) (*bench, error) {
	b := &bench{
		report: r, program: o.program, profiles: o.profiles,
		rounds: 5, changes: 200, plugs: 1000, ovn: o.ovn,
		idle: 30 * time.Second, bursts: 15, burst: 300 * time.Millisecond, flood: 3 * time.Second,
	}
	if o.ovn < 1 {
		return nil, fmt.Errorf("-ovn: %d is no number of ports", o.ovn)
	}
	if o.quick {
		b.sizes, b.rounds, b.changes, b.plugs, b.ovn = []int{2, 10, 40}, 1, 5, 10, 10
		b.idle, b.bursts, b.burst, b.flood = time.Second, 1, 100*time.Millisecond, time.Second
		return b, nil
	}
	for word := range strings.SplitSeq(o.sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || len(b.sizes) > 0 && n <= b.sizes[len(b.sizes)-1] {
			return nil, fmt.Errorf("-sizes: %q isn't a list of growing numbers", o.sizes)
		}
		b.sizes = append(b.sizes, n)
	}
	if len(b.sizes) < 2 {
		return nil, fmt.Errorf("-sizes: %q is less than two numbers", o.sizes)
	}
	return b, nil
}

// aboutMachine says what the figures were obtained on.
func aboutMachine(begin time.Time) string {
	first := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).Output()
		if err != nil {
			return name + " unknown"
		}
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
	cpu := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
				cpu = strings.TrimSpace(name)
				break
			}
		}
	}
	average, _ := os.ReadFile("/proc/loadavg")
	busy, _, _ := strings.Cut(string(average), " ")
	return fmt.Sprintf("%s, %d cores of %s, load average %s at the start, %s, %s, %s, %s.",
		begin.Format(time.DateOnly), runtime.NumCPU(), cpu, busy,
		first("uname", "-sr"), first("ovs-vswitchd", "--version"), first("ovn-controller", "--version"), runtime.Version())
}
