//go:build lab

package hosts

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// pinger is a ping that runs.
type pinger struct {
	*stream
	to string
}

// ping pings an address from a guest, 50 times a second, until it is closed.
func (s *story) ping(g guest, to string) pinger {
	s.Helper()
	return pinger{s.stream(g.host, "", g.in("ping", "-n", "-D", "-i", "0.02", to)...), to}
}

var reply = regexp.MustCompile(`(?m)^\[(\d+\.\d+)\] \d+ bytes from .*seq=\d+`)

// replies are the times at which replies came in.
func (p pinger) replies() []time.Time {
	var times []time.Time
	for _, m := range reply.FindAllStringSubmatch(string(p.bytes()), -1) {
		if seconds, err := strconv.ParseFloat(m[1], 64); err == nil {
			times = append(times, time.UnixMicro(int64(seconds*1e6)))
		}
	}
	return times
}

// since counts the replies after a time. All hosts have one clock.
func (p pinger) since(t time.Time) int {
	n := 0
	for _, r := range p.replies() {
		if r.After(t) {
			n++
		}
	}
	return n
}

// outage is the longest time between two replies.
func (p pinger) outage() time.Duration {
	var longest time.Duration
	times := p.replies()
	for i := 1; i < len(times); i++ {
		longest = max(longest, times[i].Sub(times[i-1]))
	}
	return longest
}

// answers waits until a ping is being answered, from now on.
func (s *story) answers(p pinger) {
	s.Helper()
	begin := time.Now()
	s.wait("pings of "+p.to+" are answered", func() bool { return p.since(begin) >= 10 })
}

// reaches tells whether a guest can ping an address: some of five pings are answered.
func (s *story) reaches(g guest, to string) bool {
	s.Helper()
	s.show(g.host, g.in("ping", "-c", "5", to)...)
	out, err := g.host.try(s.Context(), g.in("ping", "-n", "-q", "-c", "5", "-i", "0.2", "-w", "6", to)...)
	return err == nil && !strings.Contains(out, " 0 received")
}
