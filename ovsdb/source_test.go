package ovsdb

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// runSource runs a Source until the test ends; Run must then return nil.
func runSource(t *testing.T, s *server, change func(*timing)) (*Source, *lab.Log) {
	t.Helper()
	out := &lab.Log{}
	l := logrus.New()
	l.SetOutput(out)
	src := NewSource(s.endpoint(), logrus.NewEntry(l))
	if change != nil {
		change(&src.timing)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run doesn't return")
		}
		if _, ok := src.Host(); ok {
			t.Error("still connected after Run")
		}
	})
	return src, out
}

// waitSource waits for a view of a connected Source.
func waitSource(t *testing.T, src *Source, what string, ok func(*model.Host) bool) *model.Host {
	t.Helper()
	return waitHost(t, src.Changed(), func() *model.Host {
		if h, connected := src.Host(); connected {
			return h
		}
		return nil
	}, what, ok)
}

func waitDisconnected(t *testing.T, src *Source) *model.Host {
	t.Helper()
	var last *model.Host
	waitHost(t, src.Changed(), func() *model.Host {
		h, connected := src.Host()
		if last = h; connected {
			return nil
		}
		return &model.Host{}
	}, "the connection ends", func(*model.Host) bool { return true })
	return last
}

func anyView(*model.Host) bool { return true }

func TestSourceWaitsForServer(t *testing.T) {
	s := newServer(t)
	src, out := runSource(t, s, nil)
	lab.Eventually(t, "a warning", lab.True(func() bool { return out.Count("waiting for Open vSwitch") == 1 }))
	if h, ok := src.Host(); h != nil || ok {
		t.Errorf("Host before the first connection: %v, %t", h, ok)
	}
	if _, err := src.Apply(context.Background(), nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("Apply: %v", err)
	}
	s.start()
	s.vsctl("add-br br0")
	waitSource(t, src, "br0", func(h *model.Host) bool { return h.Bridge("br0") != nil })
	if n := out.Count("level=warning"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
	if out.Count("doesn't exist") == 0 || out.Count("level=info msg=\"connected to ovsdb-server\"") != 1 {
		t.Errorf("log:\n%s", out.String())
	}
}

func TestSourceRemindsThatItWaits(t *testing.T) {
	s := newServer(t)
	_, out := runSource(t, s, func(tm *timing) {
		tm.firstRetry, tm.maxRetry, tm.remind = time.Millisecond, time.Millisecond, 10*time.Millisecond
	})
	lab.Eventually(t, "three warnings", lab.True(func() bool { return out.Count("waiting for Open vSwitch") >= 3 }))
}

func TestSourceReconnects(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0 -- add-br br1 -- add-port br0 tap1 -- add-port br0 tap2 -- add-port br0 tap3 -- add-port br1 tap4")
	src, _ := runSource(t, s, nil)
	before := waitSource(t, src, "the first view", anyView)
	s.signal(syscall.SIGKILL)
	if last := waitDisconnected(t, src); last != before {
		t.Errorf("the last view changed while disconnected:\n%s", dump(last))
	}
	if _, err := src.Apply(context.Background(), nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("Apply: %v", err)
	}

	// Change rows where the Source can't see it: at another socket.
	s.run("mkdir", s.path("x"))
	hidden := &server{tb: t, dir: s.path("x")}
	s.run("mv", s.path("db"), hidden.path("db"))
	hidden.start()
	hidden.vsctl("del-port tap2 -- set Interface tap3 external_ids:a=b -- add-port br0 tap5")
	hidden.signal(syscall.SIGKILL)
	s.run("mv", hidden.path("db"), s.path("db"))
	s.start()

	after := waitSource(t, src, "the changed row", func(h *model.Host) bool { return id(h, "tap3", "a") == "b" })
	if find(after, "tap2") != nil || find(after, "tap5") == nil {
		t.Errorf("view after the reconnect:\n%s", dump(after))
	}
	if find(after, "tap1") != find(before, "tap1") || after.Bridge("br1") != before.Bridge("br1") {
		t.Error("unchanged rows are new values")
	}
	if find(after, "tap3") == find(before, "tap3") || after.Bridge("br0") == before.Bridge("br0") {
		t.Error("changed rows are old values")
	}

	// A restart with no change gives the same view.
	s.signal(syscall.SIGKILL)
	waitDisconnected(t, src)
	s.start()
	if again := waitSource(t, src, "the view after the second restart", anyView); again != after {
		t.Errorf("the view changed:\n%s\nfrom\n%s", dump(again), dump(after))
	}
	if _, err := src.Apply(context.Background(), []Edit{{Table: TableOpenvSwitch, UUID: src.RootUUID(), Set: map[string]string{"k": "v"}}}); err != nil {
		t.Errorf("Apply after reconnects: %v", err)
	}
}

func TestSourceLeavesServerThatDoesNotAnswer(t *testing.T) {
	s := startServer(t)
	src, out := runSource(t, s, func(tm *timing) {
		tm.probe, tm.deadPeer, tm.dial = 20*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond
	})
	waitSource(t, src, "the first view", anyView)
	s.signal(syscall.SIGSTOP)
	waitDisconnected(t, src)
	lab.Eventually(t, "a warning", lab.True(func() bool { return out.Count("doesn't answer") >= 1 }))
	s.signal(syscall.SIGCONT)
	s.vsctl("add-br br0")
	waitSource(t, src, "br0", func(h *model.Host) bool { return h.Bridge("br0") != nil })
}

func TestSourceManyRestarts(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0")
	src, _ := runSource(t, s, func(tm *timing) { tm.firstRetry, tm.maxRetry = time.Millisecond, 10*time.Millisecond })
	first := waitSource(t, src, "the first view", anyView)
	for range 10 {
		s.signal(syscall.SIGKILL)
		waitDisconnected(t, src)
		s.start()
		if h := waitSource(t, src, "the view", anyView); h != first {
			t.Fatalf("the view changed:\n%s", dump(h))
		}
	}
}
