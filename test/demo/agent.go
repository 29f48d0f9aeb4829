package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// agentGrace is how long the agent may take to end after SIGTERM.
const agentGrace = 5 * time.Second

// agent is a running "vifguard run".
type agent struct {
	process *os.Process
	done    chan struct{} // closed once it has ended
	output  *tail
}

// startAgent starts the agent on a database. It ends when this program dies: the
// kernel sends the signal when the thread that forked ends, so that one is set
// aside.
func startAgent(program, endpoint string) (*agent, error) {
	a := &agent{done: make(chan struct{}), output: &tail{}}
	cmd := exec.Command(program, "run", "--ovsdb", endpoint, "--metrics-address", "", "--control", "", "--state-dir", "")
	cmd.Stdout, cmd.Stderr = a.output, a.output
	// An interrupt at the terminal is for this program alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error, 1)
	go func() {
		defer close(a.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			// Being killed is part of the demo, and tail never fails.
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	a.process = cmd.Process
	return a, nil
}

func (a *agent) running() bool {
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// kill ends the agent without giving it a chance to do anything.
func (a *agent) kill() error { return a.end(syscall.SIGKILL) }

// stop ends the agent. Stopping one that has ended, or nil, does nothing.
func (a *agent) stop() error {
	if a == nil {
		return nil
	}
	return a.end(syscall.SIGTERM)
}

func (a *agent) end(sig syscall.Signal) error {
	if !a.running() {
		return nil
	}
	if err := a.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the agent: %w", err)
	}
	select {
	case <-a.done:
		return nil
	case <-time.After(agentGrace):
	}
	if err := a.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the agent: %w", err)
	}
	<-a.done
	return fmt.Errorf("the agent didn't end within %s after %s", agentGrace, sig)
}

// log is the end of what the agent logged.
func (a *agent) log() string { return a.output.String() }

// tail keeps the last lines written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const keep = 16 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	t.buf = bytes.Clone(t.buf[max(0, len(t.buf)-keep):])
	return len(p), nil
}

func (t *tail) String() string {
	const lines = 20
	t.mu.Lock()
	defer t.mu.Unlock()
	all := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
