package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/vifguard/vifguard/test/lab"
)

// stage is what the scenario plays on: a private switch, guests, and the agent.
type stage struct {
	ctx     context.Context
	sw      *lab.Switch
	program string // path of the vifguard binary
	agent   *lab.Program
	log     lab.Log // of the agent

	guests map[*vif]*lab.Guest
	nics   map[*vif]*lab.NIC
}

// build starts the switch, its bridges and its guests, and the agent. Close the
// stage, also when the context that ends it has ended.
func build(ctx context.Context, program string) (_ *stage, err error) {
	s := &stage{ctx: ctx, program: program, guests: map[*vif]*lab.Guest{}, nics: map[*vif]*lab.NIC{}}
	if s.sw, err = lab.StartSwitch(ctx, lab.Options{Datapath: lab.Chosen(lab.Userspace)}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.sw.AddBridge(public); err != nil {
		return nil, err
	}
	for _, bridge := range []string{private, tenant} {
		if err := s.sw.AddBridge(bridge, "fail_mode=secure"); err != nil {
			return nil, err
		}
	}
	for _, v := range cast() {
		if v.late {
			continue
		}
		if err := s.plug(v); err != nil {
			return nil, err
		}
	}
	return s, s.startAgent()
}

// plug connects a VIF, with a new guest or as a further interface of one.
func (s *stage) plug(v *vif) (err error) {
	opts := lab.GuestOptions{Name: v.name, MAC: v.mac, Addresses: v.addresses(), ExternalIDs: v.ids, Quiet: true}
	if v.guest != nil {
		s.guests[v] = s.guests[v.guest]
		s.nics[v], err = s.guests[v].AddNIC(s.ctx, v.bridge, opts)
		return err
	}
	g, err := s.sw.AddGuest(s.ctx, v.bridge, opts)
	if err != nil {
		return err
	}
	s.guests[v], s.nics[v] = g, g.NIC
	return nil
}

// logLines is how much of the agent's log is shown when something fails.
const logLines = 20

func (s *stage) startAgent() (err error) {
	cmd := exec.Command(s.program, "run", "--ovsdb", s.sw.Endpoint(), "--metrics-address", "", "--control", "", "--state-dir", "")
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	s.agent, err = lab.StartProgram(cmd)
	return err
}

func (s *stage) killAgent() error { return s.agent.Kill() }

// close ends everything that the stage started. Its error is a leftover.
func (s *stage) close() error {
	if err := errors.Join(s.agent.Stop(), s.sw.Stop()); err != nil {
		return &leftover{err}
	}
	return nil
}

// leftover is a failure to clean up.
type leftover struct{ error }

func (l *leftover) Error() string { return "clean up: " + l.error.Error() }
func (l *leftover) Unwrap() error { return l.error }

// vifguard runs the command-line tool on the private switch and returns what it
// printed.
func (s *stage) vifguard(args ...string) (string, error) {
	out, err := s.tool(args...).Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(failed.Stderr)))
		}
		return "", fmt.Errorf("vifguard %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// tool prepares a command of vifguard on the private switch.
func (s *stage) tool(args ...string) *exec.Cmd {
	return exec.CommandContext(s.ctx, s.program, append(args, "--ovsdb", s.sw.Endpoint())...)
}

// shell runs a command in a guest.
func (s *stage) shell(v *vif, command string) error {
	output, exit, err := s.guests[v].Run(s.ctx, "sh", "-c", command)
	if err == nil && exit != 0 {
		err = fmt.Errorf("%s: %s: exit status %d: %s", v.name, command, exit, strings.TrimSpace(output))
	}
	return err
}

// vifStatus is a part of what "vifguard status -o json" prints for a VIF.
type vifStatus struct {
	Port    string         `json:"port"`
	State   string         `json:"state"`
	InForce bool           `json:"in_force"`
	Drops   map[string]int `json:"drops"`
}

func (s *stage) status() ([]vifStatus, error) {
	out, err := s.vifguard("status", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list []vifStatus
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("vifguard status: %w", err)
	}
	return list, nil
}

// settle returns when the switch enforces what OVSDB asks for, for every VIF, and
// judges the next packets by it. While no agent runs, nothing is waited for.
func (s *stage) settle() error {
	if !s.agent.Running() {
		return s.sw.Purge()
	}
	err := lab.WaitUntil(s.ctx, "every policy is in force", func() (bool, error) {
		list, err := s.status()
		for _, v := range list {
			if !v.InForce || v.State == "unknown" || v.State == "pending" {
				return false, err
			}
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("%w\nend of the agent's log:\n%s", err, s.log.Tail(logLines))
	}
	return s.sw.Purge()
}
