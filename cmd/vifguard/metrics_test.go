package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/test/lab"
)

// What an agent leaves that was killed doesn't keep the next one from serving metrics.
func TestMetricsSocketOutlivesACrash(t *testing.T) {
	c := newConsole(t)
	program, socket := build(t), filepath.Join(c.Dir, "new", "metrics.sock")
	start := func() *lab.Program {
		cmd := exec.Command(program, "run", "--ovsdb", c.Endpoint(), "--metrics-address", "unix:"+socket, "--control", "", "--state-dir", "")
		cmd.Stderr = t.Output()
		p, err := lab.StartProgram(cmd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() })
		return p
	}
	awaitMetrics := func() {
		t.Helper()
		c.MustWait("metrics at "+socket, func() (bool, error) {
			text, err := scrape(t.Context(), socket)
			return err == nil && strings.Contains(text, "vifguard_"), nil
		})
	}
	crashed := start()
	awaitMetrics()
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v; want mode 0660", info, err)
	}
	if err := crashed.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); err != nil {
		t.Fatalf("nothing is left of the crash: %v", err)
	}
	if _, err := scrape(t.Context(), socket); err == nil {
		t.Fatal("the dead agent answers")
	}
	next := start()
	awaitMetrics()
	if err := next.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket after an orderly end: %v", err)
	}
}

// scrape reads metrics at a unix socket.
func scrape(ctx context.Context, socket string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/metrics", nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}
