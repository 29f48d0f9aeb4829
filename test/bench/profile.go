package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/test/lab"
)

// profile writes a CPU profile of the agent into the directory for profiles, which
// begins now. The returned function waits for its end. Without such a directory it does
// nothing.
func (h *host) profile(ctx context.Context, name string, d time.Duration) (wait func() error) {
	if h.profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- h.fetchProfile(ctx, name, d) }()
	return func() error {
		if err := <-done; err != nil {
			return fmt.Errorf("profile %s: %w", name, err)
		}
		return nil
	}
}

func (h *host) fetchProfile(ctx context.Context, name string, d time.Duration) error {
	if err := os.MkdirAll(h.profiles, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(h.profiles, name+".pprof"))
	if err != nil {
		return err
	}
	socket := filepath.Join(h.sw.Dir, agentSocket)
	var last error
	err = lab.WaitUntil(ctx, "the agent answers", func() (bool, error) {
		last = control.CPUProfile(ctx, socket, max(1, int(d.Seconds())), f)
		return last == nil, nil
	})
	if err != nil {
		err = errors.Join(err, last)
	}
	return errors.Join(err, f.Close())
}
