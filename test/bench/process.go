package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// daemon is a program that is measured or measured against.
type daemon struct {
	*lab.Program
	log *os.File
}

// startDaemon starts a program whose output goes to a file.
func startDaemon(logfile string, env []string, name string, args ...string) (*daemon, error) {
	log, err := os.OpenFile(logfile, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	p, err := lab.StartProgram(cmd)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &daemon{p, log}, nil
}

// startAgent starts the agent of a private switch, as packaged but for its log and for
// the paths of what it serves and keeps.
func (b *bench) startAgent(sw *lab.Switch) (*daemon, error) {
	file := func(name string) string { return filepath.Join(sw.Dir, name) }
	return startDaemon(file("agent.log"), nil, b.program, "run", "--ovsdb", sw.Endpoint(), "--log-level", "warn",
		"--control", file(agentSocket), "--metrics-address", "unix:"+file("metrics.sock"), "--state-dir", file("state"))
}

// agentSocket is the name of the agent's control socket.
const agentSocket = "control.sock"

// stop ends a daemon, by force if need be: how it ends isn't what is measured. Stopping
// nil, or twice, does nothing.
func (d *daemon) stop() {
	if d != nil {
		_ = d.Stop()
		_ = d.log.Close()
	}
}

// kill ends a daemon without giving it a chance to do anything.
func (d *daemon) kill() {
	_ = d.Kill() // an error means that it has ended
	_ = d.log.Close()
}

// tail returns the end of what it printed; nothing of nil.
func (d *daemon) tail() string {
	if d == nil {
		return ""
	}
	text, err := os.ReadFile(d.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// pidIn reads a file that a daemon has left.
func pidIn(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// memoryOf returns the resident memory of a process in bytes.
func memoryOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kB, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kB)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status: no VmRSS", pid)
}

// rest lets time pass: it is what a measurement of an idle process does.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
