package lab

import (
	"context"
	"fmt"
	"time"
)

const (
	// defaultWait bounds a wait whose context has no deadline.
	defaultWait = 10 * time.Second

	pollMin = time.Millisecond
	pollMax = 50 * time.Millisecond
)

// WaitUntil polls cond until it is true or fails, at first every millisecond
// and then less often. It gives up when ctx ends, or after ten seconds if ctx
// has no deadline; the error then names what was waited for.
func WaitUntil(ctx context.Context, what string, cond func() (bool, error)) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultWait)
		defer cancel()
	}
	pause := pollMin
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		ok, err := cond()
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if ok {
			return nil
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		case <-timer.C:
		}
		pause = min(pause*3/2, pollMax)
	}
}
