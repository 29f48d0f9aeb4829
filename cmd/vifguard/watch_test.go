package main

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/test/lab"
)

// The command itself, on a real switch, as JSON lines and until it is interrupted.
func TestWatchCommand(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	stop := c.agent()
	defer stop()
	c.must("wait", "tap1")
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		root := newRoot(w, io.Discard)
		root.SetArgs([]string{"--ovsdb", c.Endpoint(), "status", "--watch", "--interval", "500ms", "-o", "json"})
		done <- root.ExecuteContext(ctx)
		_ = w.Close()
	}()
	lines := json.NewDecoder(r)
	var list []report.Status
	if err := lines.Decode(&list); err != nil || len(list) != 1 || list[0].State != "enforced" {
		t.Errorf("first look: %+v, %v", list, err)
	}
	c.MustReach("tap1", lab.Ether(lab.MustMAC("ff:ff:ff:ff:ff:ff"), lab.MustMAC("52:54:00:ff:ff:ff"), 0x0800, make([]byte, 46)))
	c.MustPurge()
	for list[0].Drops["mac"] != 1 {
		list = nil
		if err := lines.Decode(&list); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	_, _ = io.Copy(io.Discard, r)
	if err := <-done; err != nil {
		t.Errorf("interrupted: %v", err)
	}
	c.fails(exit.Usage, "is too short (want at least 500ms)", "status", "--watch", "--interval", "1ms")
	c.fails(exit.Usage, "--interval: is only for --watch", "status", "--interval", "1s")
}
