package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vifguard/vifguard/controller/drops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source tells the same events for ever.
type source struct {
	recent  []drops.Event
	live    chan drops.Event
	stopped chan struct{}
	full    bool
}

func (s *source) Recent() []drops.Event { return s.recent }

func (s *source) Follow() ([]drops.Event, <-chan drops.Event, func(), error) {
	if s.full {
		return nil, nil, nil, errors.New("too many")
	}
	return s.recent, s.live, func() { close(s.stopped) }, nil
}

func (s *source) Report() drops.Report { return drops.NewClaims(time.Unix(0, 0)).Report() }

func serve(t *testing.T, s Source) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "c.sock")
	server, err := Listen(path, Handler(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return path
}

func event(port string) drops.Event {
	return drops.Event{Time: time.Unix(1, 0).UTC(), VIF: drops.VIF{Bridge: "br0", Port: port}, Reason: "mac", Frame: "f"}
}

func TestRecent(t *testing.T) {
	path := serve(t, &source{recent: []drops.Event{event("a"), event("b"), event("a")}})
	for port, want := range map[string]int{"": 3, "a": 2, "c": 0} {
		got := 0
		err := Drops(t.Context(), path, port, false, func(e *drops.Event) error { got++; return nil })
		if err != nil || got != want {
			t.Errorf("port %q: %d events, %v, want %d", port, got, err, want)
		}
	}
	r, err := Claims(t.Context(), path)
	if err != nil || !r.Since.Equal(time.Unix(0, 0)) {
		t.Errorf("%+v, %v", r, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v, %v", info, err)
	}
}

func TestFollow(t *testing.T) {
	s := &source{recent: []drops.Event{event("old")}, live: make(chan drops.Event, 1), stopped: make(chan struct{})}
	path := serve(t, s)
	s.live <- event("new")
	ctx, cancel := context.WithCancel(t.Context())
	var heard []string
	err := Drops(ctx, path, "", true, func(e *drops.Event) error {
		if heard = append(heard, e.Port); len(heard) == 2 {
			cancel()
		}
		return nil
	})
	if err != nil || strings.Join(heard, " ") != "old new" {
		t.Errorf("%v, %v", heard, err)
	}
	<-s.stopped
}

// The agent's end, and being cut off, are told.
func TestFollowEnds(t *testing.T) {
	s := &source{live: make(chan drops.Event), stopped: make(chan struct{})}
	path := serve(t, s)
	close(s.live)
	err := Drops(t.Context(), path, "", true, func(*drops.Event) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "ended the stream") {
		t.Error(err)
	}
	s.full = true
	if err := Drops(t.Context(), path, "", true, nil); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
}

// A reader that doesn't read is cut off.
func TestSlowReader(t *testing.T) {
	s := &source{live: make(chan drops.Event), stopped: make(chan struct{})}
	path := serve(t, s)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "GET /drops?follow=1 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	e := event("a")
	for limit := time.After(60 * time.Second); ; {
		select {
		case s.live <- e:
		case <-s.stopped:
			return
		case <-limit:
			t.Fatal("the server waits for ever")
		}
	}
}

func TestBadRequests(t *testing.T) {
	path := serve(t, &source{})
	for request, want := range map[string]string{"/drops?follow=yes": `follow: "yes" (want 0 or 1)`, "/nothing": "404"} {
		if _, err := get(t.Context(), path, request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", request, err, want)
		}
	}
}

func TestNoAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	_, err := Claims(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "no agent answers at "+path) {
		t.Error(err)
	}
}

func TestListen(t *testing.T) {
	path := serve(t, &source{})
	if _, err := Listen(path, http.NewServeMux()); err == nil || !strings.Contains(err.Error(), "another agent answers there") {
		t.Errorf("a second agent: %v", err)
	}
	if _, err := Claims(t.Context(), path); err != nil {
		t.Errorf("the first one, afterwards: %v", err)
	}

	// What a dead agent left is replaced.
	stale := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	server, err := Listen(stale, Handler(&source{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Claims(t.Context(), stale); err != nil {
		t.Error(err)
	}
	server.Close()
	if left, err := os.ReadDir(filepath.Dir(stale)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	// What isn't a socket stays.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, http.NewServeMux()); err == nil || !strings.Contains(err.Error(), "isn't a socket") {
		t.Errorf("a file: %v", err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 120)), http.NewServeMux()); err == nil {
		t.Error("a path that is too long")
	}
}

// An agent that ends doesn't remove the socket of its successor.
func TestSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	first, err := Listen(path, Handler(&source{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(path, Handler(&source{}))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	if _, err := Claims(t.Context(), path); err != nil {
		t.Error(err)
	}
}

func TestProfiles(t *testing.T) {
	path := serve(t, &source{})
	for request, want := range map[string]string{
		"/debug/pprof/":                    "goroutine",
		"/debug/pprof/goroutine?debug=1":   "TestProfiles",
		"/debug/pprof/profile?seconds=1":   "\x1f\x8b", // gzip
		"/debug/pprof/trace?seconds=0.001": "go 1.",
	} {
		body, err := get(t.Context(), path, request)
		if err != nil {
			t.Errorf("%s: %v", request, err)
			continue
		}
		text, err := io.ReadAll(body)
		body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %.200q, %v, want %q", request, text, err, want)
		}
	}
	var profile strings.Builder
	if err := CPUProfile(t.Context(), path, 1, &profile); err != nil || !strings.HasPrefix(profile.String(), "\x1f\x8b") {
		t.Errorf("%.20q, %v", profile.String(), err)
	}
}
