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
	"github.com/vifguard/vifguard/test/lab"
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
	lab.Need(tb, lab.OVS)
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
	lab.Eventually(s.tb, "ovsdb-server listens", func() error {
		c, err := net.Dial("unix", s.path("sock"))
		if err == nil {
			err = c.Close()
		}
		return err
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

// waitHost reads the view at each trigger until it is right: unlike lab.Eventually, it
// needs the trigger.
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
