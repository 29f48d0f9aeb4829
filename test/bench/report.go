package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// row is one line of the report: what was measured, what it is compared with, and
// what it should reach.
type row struct {
	measure string
	own     string
	peer    string // what it is compared with, and its figure
	value   string // the ratio, or whatever the reach limits
	reach   string // in words
	ok      bool
	unclear bool // not ok, but that may be noise
	noted   bool // only reported, nothing to reach
}

func (r row) verdict() string {
	switch {
	case r.noted:
		return ""
	case r.ok:
		return "ok"
	case r.unclear:
		return "unclear"
	}
	return "**miss**"
}

// report collects rows and prints each as it comes.
type report struct {
	out  io.Writer
	rows []row
}

func (r *report) add(x row) {
	r.rows = append(r.rows, x)
	fmt.Fprintf(r.out, "%-58s %-24s %-32s %-10s %-16s %s\n", x.measure, x.own, x.peer, x.value, x.reach, strings.Trim(x.verdict(), "*"))
}

// logf prints what is going on.
func (r *report) logf(format string, args ...any) { fmt.Fprintf(r.out, "  "+format+"\n", args...) }

// missed returns the number of rows that don't reach what they should.
func (r *report) missed() int {
	n := 0
	for _, x := range r.rows {
		if !x.noted && !x.ok && !x.unclear {
			n++
		}
	}
	return n
}

func (r *report) table(about string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| measure | vifguard | compared with | ratio or value | reach | |\n|---|---|---|---|---|---|\n", about)
	for _, x := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", x.measure, x.own, x.peer, x.value, x.reach, x.verdict())
	}
	return b.String()
}

// Statistics. All want at least one value.

func percentile(list []time.Duration, p float64) time.Duration {
	s := slices.Sorted(slices.Values(list))
	return s[min(len(s)-1, int(p/100*float64(len(s))))]
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// interval is a median and the bounds between which the true one lies in 95 of 100
// cases: two of the values themselves, by the sign test, however they are distributed.
// Fewer than six values don't suffice for that, and the bounds are all there is.
type interval struct{ low, mid, high float64 }

func between(list []float64) interval {
	s := slices.Sorted(slices.Values(list))
	n, k := len(s), 0
	tail, exactly := 0.0, math.Pow(0.5, float64(len(s))) // chances of at most and of exactly i values below the true median
	for i := range n / 2 {
		if tail += exactly; tail > 0.025 {
			break
		}
		k = i
		exactly *= float64(n-i) / float64(i+1)
	}
	return interval{s[k], median(s), s[n-1-k]}
}

func (i interval) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", i.mid, i.low, i.high) }

// reaches tells whether the median does, and if not, whether the true one may.
func (i interval) reaches(least float64) (ok, unclear bool) {
	return i.mid >= least, i.mid < least && i.high >= least
}

// ratios divides pairwise: both of a pair were measured right after each other.
func ratios(own, peer []float64) []float64 {
	list := make([]float64, len(own))
	for i := range own {
		list[i] = own[i] / peer[i]
	}
	return list
}

// ms prints seconds as milliseconds.
func ms(seconds float64) string {
	if seconds < 0.1 {
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.0f ms", seconds*1e3)
}

func inMS(d time.Duration) string { return ms(d.Seconds()) }
