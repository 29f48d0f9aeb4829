package fault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/vifguard/vifguard/controller/unixctl"
	"github.com/vifguard/vifguard/test/lab"
)

// agentFaults are faults of the agent itself.
var agentFaults = []fault{
	{
		name:    "no fault",
		promise: "the control: the measuring itself loses nothing",
		strike:  func(s *scene, _ *result) { s.rest() },
		steady:  true,
	},
	{
		name:    "agent killed (SIGKILL)",
		promise: "flows stay, verdicts unchanged",
		strike:  func(s *scene, _ *result) { s.kill(); s.rest() },
		steady:  true,
	},
	{
		name:    "agent stopped (SIGTERM)",
		promise: "flows stay, verdicts unchanged",
		strike:  func(s *scene, _ *result) { s.stop(); s.rest() },
		steady:  true,
	},
	{
		name:    "agent killed and started, nothing changed",
		promise: "not one flow is added, modified or deleted",
		strike:  restartUnchanged,
	},
	{
		name:    "agent upgraded to another pipeline layout",
		promise: "all flows replaced in one bundle, no window open or closed",
		prepare: func(s *scene) {
			s.MustOfctl("add-flow", bridge, "table=0,priority=1,actions=resubmit(,20)")
			s.guard("port-security-first-table=20")
			s.kill()
			s.MustVsctl("remove", "Bridge", bridge, "external_ids", "port-security-first-table")
			// Left behind by an older version, in tables that nothing leads to now.
			for n := range 50 {
				s.MustOfctl("add-flow", bridge, fmt.Sprintf("cookie=0x7667%012x,table=%d,priority=%d,in_port=11,actions=NORMAL", n, 100+n, n+1))
			}
		},
		strike: func(s *scene, _ *result) { s.start(); s.awaitExact() },
	},
	{
		name:    "addresses changed, a port deleted, a port added while the agent was down",
		promise: "what changed is applied at its start, nobody else's packets are touched",
		streams: func(s *scene) []lab.Stream { // vm2 changes, vm3 goes
			return append(s.vms[0].honest(s.sink.MAC), s.vms[0].lies(s.sink.MAC, s.vms[1])...)
		},
		strike: func(s *scene, r *result) {
			s.kill()
			s.MustSetIDs("vm2", map[string]string{"allowed-addresses": "192.0.2.102"})
			s.MustRun(s.vms[2].Close)
			s.vms[2] = s.plug("vm4", 4)
			r.now()
			s.start()
			s.await("vm4", "state=enforced")
			s.awaitExact()
		},
		after: func(s *scene) {
			s.mustPass(s.vms[2], s.vms[2].ip4, true)
			s.mustPass(s.vms[1], ip("192.0.2.102"), true)
			s.mustPass(s.vms[1], ip("192.0.2.2"), false)
		},
	},
	{
		name:    "agent killed 20 times at random moments of a change",
		promise: "each change is in force or it isn't; the next start completes it",
		streams: func(s *scene) []lab.Stream {
			return append(s.streams(), s.vms[0].lies(s.sink.MAC, s.vms[2])...)
		},
		strike: func(s *scene, r *result) {
			for n := range 20 {
				s.MustSetIDs("vm1", map[string]string{"allowed-addresses": fmt.Sprintf("192.0.2.1,2001:db8::1,198.51.100.%d", n)})
				s.kill()
				s.MustSetIDs("vm2", map[string]string{"allowed-addresses": fmt.Sprintf("192.0.2.2,2001:db8::2,198.51.100.%d", n)})
				s.start()
			}
			r.now()
			s.awaitExact()
		},
	},
	{
		name:    "OpenFlow connection cut in the middle of a bundle, 30 times",
		promise: "the bundle is applied as a whole or not at all; the agent connects again",
		prepare: func(s *scene) {
			s.cutter = newCutter(s)
			s.flags = []string{"--rundir", s.cutter.dir}
			s.guard()
		},
		strike: func(s *scene, _ *result) {
			for n := range 30 {
				s.cutter.arm(200 + 150*n)
				s.MustSetIDs("vm1", map[string]string{
					"allowed-addresses": fmt.Sprintf("192.0.2.1,2001:db8::1,198.51.100.%d,203.0.113.0/25,2001:db8:%d::/64", n, n+1),
					"port-security-seq": fmt.Sprint(n),
				})
				s.await("vm1", fmt.Sprintf("seq=%d", n))
			}
			s.awaitExact()
			if cuts := s.cutter.cuts(); cuts < 10 {
				s.t.Errorf("only %d connections were cut", cuts)
			}
		},
	},
	{
		name:    "agent runs as an ordinary user that may open Open vSwitch's sockets",
		promise: "it needs no capability",
		prepare: func(s *scene) {
			const nobody = 65534
			modes := map[string]os.FileMode{s.Dir: 0o750, filepath.Join(s.Dir, "db.sock"): 0o770, s.Mgmt(bridge): 0o770}
			for _, path := range s.control() {
				modes[path] = 0o770
			}
			for path, mode := range modes {
				if err := errors.Join(os.Chown(path, 0, nobody), os.Chmod(path, mode)); err != nil {
					s.t.Fatal(err)
				}
			}
			s.credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}
			s.guard()
		},
		strike: func(s *scene, _ *result) {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.agent.PID()))
			if err != nil || !bytes.Contains(status, []byte("CapEff:\t0000000000000000")) {
				s.t.Errorf("the agent has capabilities: %s, %v", status, err)
			}
			s.MustSetIDs("vm1", map[string]string{"allowed-addresses": "192.0.2.1,2001:db8::1,198.51.100.1"})
			s.awaitExact()
			s.kill()
			s.start()
			s.MustSetIDs("vm1", map[string]string{"port-security-seq": "1"})
			s.await("vm1", "seq=1")
		},
	},
}

// restartUnchanged watches the flow table as the agent is killed and started.
func restartUnchanged(s *scene, r *result) {
	var events lab.Log
	socket := filepath.Join(s.Dir, "monitor.ctl")
	cmd := exec.Command("ovs-ofctl", "monitor", "unix:"+s.Mgmt(bridge), "--unixctl="+socket, "watch:!initial")
	cmd.Stdout, cmd.Stderr = &events, &events
	monitor, err := lab.StartProgram(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { s.MustRun(monitor.Stop) }()
	ctl := unixctl.New(socket)
	defer ctl.Close()
	s.wait("the flow monitor", func() error {
		_, err := ctl.Call(s.t.Context(), "ofctl/barrier")
		return err
	})
	s.kill()
	r.now()
	s.start()
	s.MustSetIDs("vm1", map[string]string{"port-security-seq": "1"})
	s.await("vm1", "seq=1")
	s.MustOfctl("add-flow", bridge, "table=200,cookie=0x99,actions=drop") // one event there must be
	for _, command := range []string{"ofctl/barrier", "exit"} {
		if _, err := ctl.Call(s.t.Context(), command); err != nil {
			s.t.Fatal(err)
		}
	}
	s.wait("the flow monitor to end", func() error {
		if monitor.Running() {
			return errors.New("it runs")
		}
		return nil
	})
	if text := events.String(); strings.Count(text, "event=") != 1 || !strings.Contains(text, "table=200") {
		s.t.Errorf("the agent's start changed flows:\n%s", text)
	}
}

// cutter stands between the agent and a bridge's management socket, and cuts the
// connection after a number of bytes to the switch.
type cutter struct {
	dir      string
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	left  int // bytes until the cut; negative: no limit
	count int
	conns []net.Conn
}

// control are the files by which ovs-appctl reaches ovs-vswitchd.
func (s *scene) control() []string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "ovs-vswitchd.*"))
	if err != nil || len(files) != 2 {
		s.t.Fatalf("want a pid file and a socket, got %v, %v", files, err)
	}
	return files
}

func newCutter(s *scene) *cutter {
	s.t.Helper()
	c := &cutter{dir: filepath.Join(s.Dir, "cut"), left: -1}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	// What isn't to be cut is there as well.
	for _, path := range s.control() {
		if err := os.Symlink(path, filepath.Join(c.dir, filepath.Base(path))); err != nil {
			s.t.Fatal(err)
		}
	}
	var err error
	if c.listener, err = net.Listen("unix", filepath.Join(c.dir, bridge+".mgmt")); err != nil {
		s.t.Fatal(err)
	}
	c.wg.Go(func() { c.accept(s.Mgmt(bridge)) })
	s.t.Cleanup(c.close)
	return c
}

func (c *cutter) accept(socket string) {
	for {
		agent, err := c.listener.Accept()
		if err != nil {
			return
		}
		sw, err := net.Dial("unix", socket)
		if err != nil {
			agent.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, agent, sw)
		c.mu.Unlock()
		c.wg.Go(func() { defer agent.Close(); _, _ = io.Copy(agent, sw) })
		c.wg.Go(func() { defer sw.Close(); _, _ = io.Copy(&cut{c, sw}, agent) })
	}
}

// arm lets n bytes more through, and then cuts once.
func (c *cutter) arm(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = n
}

func (c *cutter) cuts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *cutter) close() {
	c.listener.Close()
	c.mu.Lock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// cut is the way to the switch.
type cut struct {
	*cutter
	to net.Conn
}

func (w *cut) Write(p []byte) (int, error) {
	w.mu.Lock()
	n := len(p)
	doomed := w.left >= 0 && w.left < n
	switch {
	case doomed:
		n, w.left = w.left, -1
		w.count++
	case w.left >= 0:
		w.left -= n
	}
	w.mu.Unlock()
	if _, err := w.to.Write(p[:n]); err != nil {
		return 0, err
	}
	if doomed {
		return n, io.ErrShortWrite
	}
	return n, nil
}
