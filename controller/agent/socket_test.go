package agent_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/test/lab"
)

// Events are streamed as they come, and somebody who doesn't read delays nobody.
func TestStream(t *testing.T) {
	h := newSampled(t, 10)
	slow, err := net.Dial("unix", h.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := fmt.Fprint(slow, "GET /drops?follow=1 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan *drops.Event, 10)
	done := make(chan error, 1)
	go func() {
		done <- control.Drops(ctx, h.socket(), "tap1", true, func(e *drops.Event) error { heard <- e; return nil })
	}()
	h.MustInject("tap1", lab.RARPAnnounce(mallory))
	select {
	case e := <-heard:
		if e.Port != "tap1" {
			t.Errorf("%v", e)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the stream says nothing")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The agent works without its control socket and state directory, and says so.
func TestNeedsNoSocket(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(h.Dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.guard("br0")
	h.start(agent.Config{SampleRate: 10, ControlSocket: file, StateDir: file + "/state"})
	h.await("tap1", "state=enforced")
	h.awaitLog("no control socket")
	h.awaitLog("no state directory")
	if b, err := os.ReadFile(file); err != nil || string(b) != "x" {
		t.Errorf("the file that was there: %q, %v", b, err)
	}
}

// What an agent kept and nobody can read is set aside.
func TestCorruptClaims(t *testing.T) {
	h := newHost(t)
	state := filepath.Join(h.Dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "claims.json"), []byte(`{"version":1,"vifs":[{`), 0o600); err != nil {
		t.Fatal(err)
	}
	h.sample(never, 10)
	h.awaitLog("can't be read; starting afresh")
	h.stop()
	if b, err := os.ReadFile(filepath.Join(state, "claims.json.corrupt")); err != nil || !strings.HasPrefix(string(b), `{"version"`) {
		t.Errorf("%q, %v", b, err)
	}
}
