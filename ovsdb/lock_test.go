package ovsdb

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/vifguard/vifguard/model"
)

// The second Source is refused and names the first; the first doesn't notice.
func TestOneSourceOnly(t *testing.T) {
	s := startServer(t)
	first, _ := runSource(t, s, nil)
	host := waitSource(t, first, "the first", func(*model.Host) bool { return true })
	if _, err := first.Apply(context.Background(), []Edit{{
		Table: TableOpenvSwitch, UUID: first.RootUUID(), Set: map[string]string{model.KeyAgent: "pid 7 on hostA"},
	}}); err != nil {
		t.Fatal(err)
	}
	if host.Agent != "" {
		t.Errorf("agent before it said so: %q", host.Agent)
	}
	second := NewSource(s.endpoint(), quiet())
	second.timing.lock = 100 * time.Millisecond
	err := second.Run(context.Background())
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Holder != "pid 7 on hostA" {
		t.Fatalf("the second: %v", err)
	}
	if _, connected := first.Host(); !connected {
		t.Error("the first lost its connection")
	}
	if runs, err := AgentRuns(context.Background(), s.endpoint()); err != nil || !runs {
		t.Errorf("AgentRuns: %v, %v", runs, err)
	}
}

// A lock that is about to be free is waited for: the last agent may just have been killed.
func TestLockPassesOn(t *testing.T) {
	s := startServer(t)
	if runs, err := AgentRuns(context.Background(), s.endpoint()); err != nil || runs {
		t.Errorf("AgentRuns without any: %v, %v", runs, err)
	}
	held, err := acquire(context.Background(), s.endpoint(), patience)
	if err != nil || held == nil {
		t.Fatalf("acquire: %v, %v", held, err)
	}
	src, _ := runSource(t, s, func(tm *timing) { tm.lock = patience })
	if _, connected := src.Host(); connected {
		t.Error("connected without the lock")
	}
	held.release()
	waitSource(t, src, "the lock's next holder", func(*model.Host) bool { return true })
}

// Somebody who steals the lock (RFC 7047 section 4.1.8) gets it, and the Source that
// loses it says so.
func TestLockStolen(t *testing.T) {
	s := startServer(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	src := NewSource(s.endpoint(), quiet())
	src.timing.lock = 0
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx) }()
	waitSource(t, src, "connection", func(*model.Host) bool { return true })
	thief := exec.CommandContext(ctx, "ovsdb-client", "steal", s.endpoint(), lockName)
	if err := thief.Start(); err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if err := <-done; !errors.As(err, &locked) {
		t.Errorf("Run: %v; want a LockedError", err)
	}
	_ = thief.Process.Kill()
	_ = thief.Wait()
}
