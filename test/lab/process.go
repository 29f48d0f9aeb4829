package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopGrace is how long a daemon may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// process is a child that the kernel kills when this program dies.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed after the child was reaped
	err  error         // how it ended; valid once done is closed
}

// Program is a child that the kernel kills when this program dies: one that belongs
// to a test but not to the switch, such as an agent.
type Program struct{ *process }

// StartProgram starts a program. It must be stopped or killed.
func StartProgram(cmd *exec.Cmd) (*Program, error) {
	p, err := startProcess(nil, cmd)
	return &Program{p}, err
}

// PID is the number of the process.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Running tells whether the program hasn't ended.
func (p *Program) Running() bool { return p != nil && p.running() }

// Signal sends the program a signal.
func (p *Program) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill ends the program at once and returns after it has gone.
func (p *Program) Kill() error { return p.kill() }

// Stop asks the program to end, and returns after it has gone. After five seconds it
// insists, and says so in its error. Stopping one that has ended, or nil, does nothing.
func (p *Program) Stop() error {
	if p == nil {
		return nil
	}
	return p.stop()
}

// startProcess starts cmd, inside ns unless that is nil.
//
// The parent-death signal is sent when the *thread* that forked ends, so one
// thread is set aside for the child's whole life: it forks, waits and reaps.
func startProcess(ns *Namespace, cmd *exec.Cmd) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	// An interrupt typed at a terminal is for this program, which then stops
	// its children in order.
	cmd.SysProcAttr.Setpgid = true

	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		restored, err := ns.onThread(cmd.Start)
		if restored {
			defer runtime.UnlockOSThread()
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// running tells whether the child has not been reaped yet.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the child at once and returns after it was reaped.
func (p *process) kill() error {
	return p.end(syscall.SIGKILL)
}

// stop asks the child to end, and returns after it was reaped. After stopGrace it
// insists, and says so in its error. Stopping a child that has ended, or nil, does
// nothing.
func (p *process) stop() error {
	return p.end(syscall.SIGTERM)
}

func (p *process) end(sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s (pid %d): %w", p.cmd.Path, p.cmd.Process.Pid, err)
	}
	if p.await() {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s (pid %d): %w", p.cmd.Path, p.cmd.Process.Pid, err)
	}
	<-p.done
	return fmt.Errorf("%s (pid %d) didn't end within %s of %s", p.cmd.Path, p.cmd.Process.Pid, stopGrace, sig)
}

// await gives the child stopGrace to end, and tells whether it has.
func (p *process) await() bool {
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}
