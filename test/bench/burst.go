package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// counters are read before and after a burst; their difference is what it has done.
type counters struct {
	at       time.Duration // since the gauge was made
	cpu      time.Duration // of all threads of ovs-vswitchd
	from, to uint64        // packets that arrived at the guests
	done     uint64        // what the traffic has counted
}

// sample is what a burst came to.
type sample struct {
	rate    float64 // in the unit of the traffic
	cost    float64 // ovs-vswitchd's CPU time for each packet that it delivered, in seconds
	busy    float64 // ovs-vswitchd's part of its CPU: at 1 the rate is what the cost allows
	lookups float64 // subtables that were searched for each hit in the megaflow cache
}

// gauge reads the counters of a pair. Its files stay open, because reading must take
// next to no time.
type gauge struct {
	begin    time.Time
	vswitchd int
	from, to *os.File
	done     atomic.Uint64
}

func (s *site) newGauge(p pair) (*gauge, error) {
	g := &gauge{begin: time.Now(), vswitchd: s.vswitchd}
	var err1, err2 error
	g.from, err1 = interfaces(p.from)
	g.to, err2 = interfaces(p.to)
	return g, errors.Join(err1, err2)
}

func (g *gauge) close() { g.from.Close(); g.to.Close() }

// read returns the counters. It tries again while others interrupt it for too long.
func (g *gauge) read() (c counters, err error) {
	const tries, brief = 20, 100 * time.Microsecond
	for range tries {
		c.at = time.Since(g.begin)
		c.done = g.done.Load()
		var errs [3]error
		c.cpu, errs[0] = cpuOf(g.vswitchd)
		c.from, errs[1] = received(g.from)
		c.to, errs[2] = received(g.to)
		if err = errors.Join(errs[:]...); err != nil || time.Since(g.begin)-c.at < brief {
			break
		}
	}
	return c, err
}

// perSecond is what happened in a second between two readings.
func perSecond(from, to counters) counters {
	each := func(n uint64) uint64 { return uint64(float64(n) / (to.at - from.at).Seconds()) }
	return counters{
		at: time.Second, cpu: time.Duration(each(uint64(to.cpu - from.cpu))),
		from: each(to.from - from.from), to: each(to.to - from.to), done: each(to.done - from.done),
	}
}

// measure sends traffic, and measures n bursts of it after a moment in which the caches
// settle.
func (s *site) measure(ctx context.Context, t traffic, p pair, n int) (list []sample, err error) {
	g, err := s.newGauge(p)
	if err != nil {
		return nil, err
	}
	defer g.close()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- t.run(ctx, p, &g.done) }()
	defer func() { cancel(); err = errors.Join(err, <-ended) }()

	if err := rest(ctx, s.burst/4); err != nil {
		return nil, err
	}
	for range n {
		if _, err := s.sw.Appctl("dpif-netdev/pmd-stats-clear"); err != nil {
			return nil, err
		}
		c, err := g.during(func() error { return rest(ctx, s.burst) })
		if err != nil {
			return nil, err
		}
		x := sample{rate: t.rate(c), busy: c.cpu.Seconds(), cost: c.cpu.Seconds() / float64(c.from+c.to)}
		out, err := s.sw.Appctl("dpif-netdev/pmd-stats-show")
		if err == nil {
			x.lookups, err = subtables(out)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}

// during returns what happens in a second while f runs.
func (g *gauge) during(f func() error) (counters, error) {
	before, err := g.read()
	if err == nil {
		err = f()
	}
	if err != nil {
		return before, err
	}
	after, err := g.read()
	return perSecond(before, after), err
}

// interfaces opens the counters of a guest's interfaces.
func interfaces(g *lab.Guest) (f *os.File, err error) {
	err = g.Netns().Do(func() (err error) { f, err = os.Open("/proc/thread-self/net/dev"); return err })
	return f, err
}

// received returns the number of packets that the interfaces have received, loopback
// aside.
func received(f *os.File) (n uint64, err error) {
	var text [2048]byte
	size, err := f.ReadAt(text[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return parseReceived(string(text[:size]))
}

// parseReceived reads proc_net_dev(5): after each name bytes and packets received.
func parseReceived(text string) (total uint64, err error) {
	for line := range strings.Lines(text) {
		name, fields, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "lo" {
			continue
		}
		var octets, packets uint64
		if _, err := fmt.Sscan(fields, &octets, &packets); err != nil {
			return 0, fmt.Errorf("counters of an interface %q: %w", line, err)
		}
		total += packets
	}
	return total, nil
}

// lookups is the line of dpif-netdev/pmd-stats-show that says how many masks were tried.
var lookups = regexp.MustCompile(`avg\. subtable lookups per megaflow hit: ([0-9.]+)`)

// subtables reads how many subtables were searched for each hit in the megaflow cache.
func subtables(out string) (float64, error) {
	found := lookups.FindStringSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("no subtable lookups in %q", out)
	}
	return strconv.ParseFloat(found[1], 64)
}
