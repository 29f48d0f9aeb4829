package bridge

import "time"

// MaxRetry is the time between attempts at something that a daemon comes back for.
const MaxRetry = time.Second

const (
	firstRetry     = 50 * time.Millisecond // before the second attempt
	remindInterval = 30 * time.Second      // between two messages that something still fails
)

// Retry paces attempts at something that fails, and what is said of it. Its zero value
// is that nothing has failed.
type Retry struct {
	wait     time.Duration
	at       time.Time
	reminded time.Time
}

// Next returns the pause before the next attempt: it doubles up to limit.
func (r *Retry) Next(limit time.Duration) time.Duration {
	r.wait = min(max(2*r.wait, firstRetry), limit)
	r.at = time.Now().Add(r.wait)
	return r.wait
}

// Remind reports whether it is time to say that it fails: at once, and then every half
// minute.
func (r *Retry) Remind() bool {
	if !r.reminded.IsZero() && time.Since(r.reminded) < remindInterval {
		return false
	}
	r.reminded = time.Now()
	return true
}
