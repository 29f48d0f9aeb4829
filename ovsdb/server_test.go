package ovsdb

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/vifguard/vifguard/model"
)

const (
	schemaFile = "/usr/share/openvswitch/vswitch.ovsschema"
	patience   = 30 * time.Second // for anything that must happen
)

// server is a real ovsdb-server in a directory of its own.
type server struct {
	tb   testing.TB
	dir  string
	cmd  *exec.Cmd
	gone chan struct{}
}

// newServer makes the database, and checks at the end of the test that no goroutine is left.
func newServer(tb testing.TB) *server {
	tb.Helper()
	return newServerOf(tb, schemaFile)
}

// newServerOf is newServer with a database of another schema.
func newServerOf(tb testing.TB, schema string) *server {
	tb.Helper()
	for _, bin := range []string{"ovsdb-server", "ovsdb-tool", "ovs-vsctl"} {
		if _, err := exec.LookPath(bin); err != nil {
			if os.Getenv("CI") != "" {
				tb.Fatalf("this test needs %s: %v", bin, err)
			}
			tb.Skipf("this test needs %s (package openvswitch-switch): %v", bin, err)
		}
	}
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() { goleak.VerifyNone(tb, before) })
	dir, err := os.MkdirTemp("", "vg")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{tb: tb, dir: dir}
	s.run("ovsdb-tool", "create", s.path("db"), schema)
	return s
}

// startServer makes a server that runs and has its Open_vSwitch row.
func startServer(tb testing.TB) *server {
	tb.Helper()
	s := newServer(tb)
	s.start()
	s.vsctl("init")
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }
func (s *server) endpoint() string        { return "unix:" + s.path("sock") }

func (s *server) start() {
	s.tb.Helper()
	s.cmd = exec.Command("ovsdb-server", s.path("db"), "--remote=punix:"+s.path("sock"),
		"--unixctl="+s.path("ctl"), "-vconsole:off", "-vsyslog:off")
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	cmd, gone := s.cmd, make(chan struct{})
	s.gone = gone
	go func() { _ = cmd.Wait(); close(gone) }()
	s.tb.Cleanup(func() { _ = cmd.Process.Kill(); <-gone })
	eventually(s.tb, "ovsdb-server listens", func() bool {
		c, err := net.Dial("unix", s.path("sock"))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (s *server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
	if sig == syscall.SIGKILL {
		<-s.gone
	}
}

func (s *server) run(name string, args ...string) string {
	s.tb.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		s.tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// vsctl runs ovs-vsctl with the words of all lines as arguments.
func (s *server) vsctl(lines ...string) string {
	s.tb.Helper()
	return s.run("ovs-vsctl", append([]string{"--no-wait", "--db=" + s.endpoint()}, strings.Fields(strings.Join(lines, " "))...)...)
}

func (s *server) dial() *Client {
	s.tb.Helper()
	c, err := Dial(context.Background(), s.endpoint(), quiet())
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(c.Close)
	return c
}

// quiet logs everything to nowhere, so that the path through the logs is exercised.
func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.DebugLevel)
	return logrus.NewEntry(l)
}

// eventually polls what no channel tells.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	eventuallyWithin(tb, patience, what, ok)
}

func eventuallyWithin(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(limit); ; {
		if ok() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("never happened: %s", what)
		}
	}
}

// waitHost looks at the view at each trigger until it is right.
func waitHost(tb testing.TB, changed <-chan struct{}, host func() *model.Host, what string, ok func(*model.Host) bool) *model.Host {
	tb.Helper()
	for deadline := time.After(patience); ; {
		h := host()
		if h != nil && ok(h) {
			return h
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("never seen: %s; view:\n%s", what, dump(h))
		}
	}
}

func (s *server) wait(c *Client, what string, ok func(*model.Host) bool) *model.Host {
	s.tb.Helper()
	return waitHost(s.tb, c.Changed(), c.Host, what, ok)
}

func dump(h *model.Host) string {
	if h == nil {
		return "none"
	}
	var b strings.Builder
	for _, br := range h.Bridges {
		fmt.Fprintf(&b, "%+v\n", *br)
		for _, i := range br.Interfaces {
			fmt.Fprintf(&b, "  %+v\n", *i)
		}
	}
	return b.String()
}

func find(h *model.Host, name string) *model.Interface {
	_, i := h.FindInterface(name)
	return i
}

// id is find's external_ids value, "" when the interface or the key is missing.
func id(h *model.Host, name, key string) string {
	if i := find(h, name); i != nil {
		return i.ExternalIDs[key]
	}
	return ""
}
