package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

// minInterval is the shortest time between two looks of status --watch. Open vSwitch
// itself collects the counters of its datapath twice a second.
const minInterval = 500 * time.Millisecond

// watcher prints status again and again.
type watcher struct {
	out      *term.Writer
	json     bool
	interval time.Duration
	now      func() time.Time

	before map[string]vifStatus // by port
	at     time.Time            // of before
}

func newWatcher(out *term.Writer, format string, interval time.Duration) *watcher {
	return &watcher{out: out, json: format == "json", interval: interval, now: time.Now}
}

// watch prints status until ctx ends, which is no error.
func (s *session) watch(ctx context.Context, w *watcher, args []string) error {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		look := *s
		var cancel context.CancelFunc
		look.ctx, cancel = context.WithTimeout(ctx, commandTimeout)
		list, notes, err := look.status(args)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = w.show(list, notes)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Done():
			return fail(exitNoSwitch, "the connection to ovsdb-server was lost")
		case <-tick.C:
		}
	}
}

// show prints one look.
func (w *watcher) show(list []vifStatus, notes []string) error {
	now := w.now()
	rates := w.rates(list, now)
	changed := w.changed(list)
	w.before, w.at = make(map[string]vifStatus, len(list)), now
	for _, s := range list {
		w.before[s.Port] = s
	}
	if w.json {
		return w.out.JSONLine(list)
	}
	out := term.NewWriter(w.out) // a terminal may have another size by now
	switch {
	case out.Terminal:
		out.Clear()
		// Two lines of heading, and one for what is left out.
		if room := out.Lines - 3 - len(notes); out.Lines > 0 && len(list) > max(1, room) {
			notes = append(notes, fmt.Sprintf("%d more VIFs (vifguard status shows all)", len(list)-max(1, room)))
			list = list[:max(1, room)]
		}
	case len(changed) == 0:
		return nil
	default:
		list = changed
	}
	out.Printf("%s\n", now.Format(time.RFC3339))
	printStatus(out, list, rates)
	for _, n := range notes {
		out.Paragraph(term.Plain, n, "  ")
	}
	return out.Err()
}

// changed returns the VIFs that aren't as they were at the last look.
func (w *watcher) changed(list []vifStatus) []vifStatus {
	var changed []vifStatus
	for _, s := range list {
		if before, ok := w.before[s.Port]; !ok || !reflect.DeepEqual(before, s) {
			changed = append(changed, s)
		}
	}
	for port, before := range w.before {
		if !slices.ContainsFunc(list, func(s vifStatus) bool { return s.Port == port }) {
			before.State = "gone"
			changed = append(changed, before)
		}
	}
	return changed
}

// rates returns the drops per second since the last look, in words.
func (w *watcher) rates(list []vifStatus, now time.Time) map[string]string {
	texts := make(map[string]string, len(list))
	for port, r := range dropRates(w.before, list, now.Sub(w.at)) {
		texts[port] = rateText(r)
	}
	return texts
}

// dropRates returns the drops per second by port, out of what there was some time
// before. Where that isn't known, or the counters began anew, there is no entry.
func dropRates(before map[string]vifStatus, list []vifStatus, passed time.Duration) map[string]float64 {
	rates := make(map[string]float64, len(list))
	for _, s := range list {
		then, ok := before[s.Port]
		was, is := sum(then.Drops), sum(s.Drops)
		if ok && is >= was && passed > 0 {
			rates[s.Port] = float64(is-was) / passed.Seconds()
		}
	}
	return rates
}

func sum(drops map[string]uint64) (n uint64) {
	for _, d := range drops {
		n += d
	}
	return n
}

func rateText(r float64) string {
	if r > 0 && r < 10 {
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.0f", r)
}
