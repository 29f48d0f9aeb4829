package controller

import "time"

const (
	firstRetry     = 50 * time.Millisecond // before the second attempt
	maxRetry       = time.Second           // between attempts
	remindInterval = 30 * time.Second      // between two messages that something still fails
)

// retry paces attempts at something that fails, and what is said of it. Its zero value
// is that nothing has failed.
type retry struct {
	wait     time.Duration
	reminded time.Time
}

// next returns the pause before the next attempt: it doubles up to limit.
func (r *retry) next(limit time.Duration) time.Duration {
	r.wait = min(max(2*r.wait, firstRetry), limit)
	return r.wait
}

// remind reports whether it is time to say that it fails: at once, and then every half
// minute.
func (r *retry) remind() bool {
	if !r.reminded.IsZero() && time.Since(r.reminded) < remindInterval {
		return false
	}
	r.reminded = time.Now()
	return true
}
