package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vifguard/vifguard/model"
)

// DropsText writes drop counters as "reason count", the largest first, and sums up
// those beyond the first few.
func DropsText(drops map[model.Reason]uint64, most int) string {
	var reasons []model.Reason
	for _, r := range model.Reasons() {
		if drops[r] > 0 {
			reasons = append(reasons, r)
		}
	}
	slices.SortStableFunc(reasons, func(a, b model.Reason) int { return cmp.Compare(drops[b], drops[a]) })
	var words []string
	var others uint64
	for i, r := range reasons {
		if i < most {
			words = append(words, fmt.Sprintf("%s %d", r, drops[r]))
		} else {
			others += drops[r]
		}
	}
	if others > 0 {
		words = append(words, fmt.Sprintf("others %d", others))
	}
	return strings.Join(words, ", ")
}

// ReasonsText is DropsText of drops by name.
func ReasonsText(drops map[string]uint64, most int) string {
	byReason := make(map[model.Reason]uint64)
	for _, r := range model.Reasons() {
		byReason[r] = drops[r.String()]
	}
	return DropsText(byReason, most)
}

// MainReason is the reason for most drops.
func MainReason(drops map[string]uint64) string {
	best, most := "", uint64(0)
	for _, r := range model.Reasons() {
		if n := drops[r.String()]; n > most {
			best, most = r.String(), n
		}
	}
	return best
}

// Total sums drop counters up.
func Total(drops map[string]uint64) (n uint64) {
	for _, d := range drops {
		n += d
	}
	return n
}

// Rates returns the drops per second by port, out of what there was some time
// before. Where that isn't known, or the counters began anew, there is no entry.
func Rates(before map[string]Status, list []Status, passed time.Duration) map[string]float64 {
	rates := make(map[string]float64, len(list))
	for _, s := range list {
		then, ok := before[s.Port]
		was, is := Total(then.Drops), Total(s.Drops)
		if ok && is >= was && passed > 0 {
			rates[s.Port] = float64(is-was) / passed.Seconds()
		}
	}
	return rates
}

// RateText writes drops per second; small ones with a decimal.
func RateText(r float64) string {
	if r > 0 && r < 10 {
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

// Roughly writes seconds in the largest unit of which there are at least two.
func Roughly(seconds int64) string {
	for _, u := range []struct {
		name string
		in   int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}} {
		if seconds >= 2*u.in {
			return fmt.Sprintf("%d%s", seconds/u.in, u.name)
		}
	}
	return fmt.Sprintf("%ds", seconds)
}
