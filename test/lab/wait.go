package lab

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

const (
	// defaultWait bounds a wait that has no other limit: what a test waits for takes
	// milliseconds, or never comes.
	defaultWait = 20 * time.Second

	pollMin = time.Millisecond
	pollMax = 50 * time.Millisecond
)

// Eventually waits until cond returns nil. It ends the test with cond's last error when
// that takes more than twenty seconds. It polls, at first every millisecond and then
// less often.
func Eventually(tb testing.TB, what string, cond func() error) {
	tb.Helper()
	EventuallyWithin(tb, defaultWait, what, cond)
}

// EventuallyWithin is [Eventually] with another limit.
func EventuallyWithin(tb testing.TB, limit time.Duration, what string, cond func() error) {
	tb.Helper()
	// Not the test's own context: that has ended when the test cleans up.
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var last error
	err := WaitUntil(ctx, what, func() (bool, error) {
		last = cond()
		return last == nil, nil
	})
	if err != nil {
		tb.Fatalf("%v: %v", err, last)
	}
}

// errNotYet is what a condition without a word to say says.
var errNotYet = errors.New("not yet")

// True makes a condition for [Eventually] of one that only knows whether it holds.
func True(cond func() bool) func() error {
	return func() error {
		if !cond() {
			return errNotYet
		}
		return nil
	}
}

// WaitUntil polls cond until it is true or fails, as [Eventually] does. It gives up when
// ctx ends, or after twenty seconds if ctx has no deadline; the error then names what
// was waited for.
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
