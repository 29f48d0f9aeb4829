package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/test/lab"
)

// buffer is what a command that goes on has printed.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *buffer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *buffer) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestDrops(t *testing.T) {
	c := newConsole(t)
	if _, err := c.run("drops", "--control", c.control()); err == nil || !strings.Contains(err.Error(), "no agent answers at "+c.control()) {
		t.Errorf("without an agent: %v", err)
	}
	c.must("guard", "br0")
	stop := c.agent()
	defer stop()
	c.awaitState("tap1", "enforced")

	// Somebody follows from the beginning.
	ctx, cancel := context.WithCancel(t.Context())
	var followed buffer
	done := make(chan error, 1)
	go func() {
		root := newRoot(&followed, io.Discard)
		root.SetArgs([]string{"--ovsdb", c.Endpoint(), "drops", "tap1", "--follow", "--control", c.control()})
		done <- root.ExecuteContext(ctx)
	}()
	c.MustInject("tap1", lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:66")))
	const want = "Z br0 tap1 vm=6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11 dropped mac: RARP announcement of 52:54:00:00:00:66, eth 52:54:00:00:00:66 > ff:ff:ff:ff:ff:ff type 0x8035\n"
	c.MustWait("the follower to hear of it", func() (bool, error) { return strings.HasSuffix(followed.String(), want), nil })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("drops --follow: %v", err)
	}

	if out := c.must("drops", "--control", c.control()); !strings.HasSuffix(out, want) {
		t.Errorf("drops: %s", out)
	}
	var e drops.Event
	if err := json.Unmarshal([]byte(c.must("drops", "tap1", "-o", "json", "--control", c.control())), &e); err != nil || e.Reason != "mac" || e.Claim.Kind != "RARP" {
		t.Errorf("drops -o json: %+v, %v", e, err)
	}
	if out := c.must("drops", "eth0", "--control", c.control()); out != "" {
		t.Errorf("drops of another port: %s", out)
	}
	c.fails(exit.NotFound, `no interface "tap9"`, "drops", "tap9", "--control", c.control())
	c.MustDelPort("tap1")
	if out := c.must("drops", "tap1", "--control", c.control()); !strings.HasSuffix(out, want) {
		t.Errorf("drops of a port that has gone: %s", out)
	}
	if _, err := c.run("drops", "-o", "yaml"); err == nil || !strings.Contains(err.Error(), "want text or json") {
		t.Errorf("-o yaml: %v", err)
	}
	if _, err := c.run("run", "--sample-rate", "-1"); err == nil || !strings.Contains(err.Error(), "--sample-rate: -1 packets per second can't be used (want 0 to 1000)") {
		t.Errorf("--sample-rate -1: %v", err)
	}
}
