package drops

import "time"

// bucket is a token bucket. The zero value is full at its first use.
type bucket struct {
	rate, burst float64 // tokens per second, and at most
	tokens      float64
	last        time.Time
}

// take takes a token if there is one.
func (b *bucket) take(now time.Time) bool {
	if b.last.IsZero() {
		b.tokens = b.burst
	} else if passed := now.Sub(b.last).Seconds(); passed > 0 {
		b.tokens = min(b.burst, b.tokens+passed*b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
