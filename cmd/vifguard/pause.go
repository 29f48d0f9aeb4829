package main

import (
	"context"
	"time"
)

// pauses are the times between questions to a switch that hasn't done yet what is waited
// for. They grow, so that waiting for long costs little: ovs-vswitchd answers on the
// thread on which it does the work.
type pauses struct{ last time.Duration }

const (
	firstPause   = 5 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// next returns the pause before the next question.
func (p *pauses) next() time.Duration {
	p.last = min(max(2*p.last, firstPause), longestPause)
	return p.last
}

// sleep returns when a time has passed, or with the error of a context that ended before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
