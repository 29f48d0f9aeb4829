package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is the service manager's end of sd_notify(3).
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	dir, err := os.MkdirTemp("", "vg") // short: the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{t, conn}
}

// await returns everything that was said until a message has a line.
func (m *manager) await(line string) []string {
	m.t.Helper()
	var all []string
	if err := m.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	for b := make([]byte, 4096); ; {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("nobody said %q: %v; said was %q", line, err, all)
		}
		for _, l := range strings.Split(strings.TrimSpace(string(b[:n])), "\n") {
			all = append(all, l)
			if l == line {
				return all
			}
		}
	}
}

func TestReadyOnceEveryBridgeWasCompared(t *testing.T) {
	c := newConsole(t)
	m := newManager(t)
	c.must("guard", "br0")
	stop := c.agent()
	before := m.await("READY=1")
	if flows := c.MustOfctl("dump-flows", "br0"); !strings.Contains(flows, "dl_src=52:54:00:00:00:01") {
		t.Errorf("ready, with these flows on the bridge:\n%s", flows)
	}
	if before[0] != "STATUS=bridges guarded: 0, VIFs: 0; waiting for ovsdb-server" {
		t.Errorf("said at first: %q", before)
	}
	if status := before[len(before)-2]; status != "STATUS=bridges guarded: 1, VIFs: 1" {
		t.Errorf("said with READY=1: %q", before)
	}
	stop()
	m.await("STOPPING=1")
}

func TestReadyAtOnceWithoutAGuardedBridge(t *testing.T) {
	c := newConsole(t)
	m := newManager(t)
	defer c.agent()()
	m.await("READY=1")
}
