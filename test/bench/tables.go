package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// waitFlows waits until the bridge has n flows and returns when that was seen.
func (h *host) waitFlows(ctx context.Context, n int) (time.Time, error) {
	const pause = 2 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not after a minute"))
	defer cancel()
	for {
		tables, err := h.count.Tables(ctx)
		at, got := time.Now(), 0
		for _, t := range tables {
			got += int(t.Flows)
		}
		if err != nil || got == n {
			return at, err
		}
		select {
		case <-ctx.Done():
			return at, fmt.Errorf("wait for %d flows, there are %d: %w", n, got, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}
