package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// waitFor is what wait is asked for.
type waitFor struct {
	port   string
	seq    string
	hasSeq bool
	states []string
}

func newWait(o *options) *cobra.Command {
	var w waitFor
	var timeout time.Duration
	var format string
	cmd := &cobra.Command{
		Use:   "wait PORT",
		Short: "Wait until a port's policy is in force",
		Long: `Wait until a port's policy is in force: the agent reports a settled state that fits the
port's metadata, has echoed its port-security-seq (or --seq), and the switch has the
port's flows. The port, its keys and the agent may still be missing: it waits for them.

A port without any key of vifguard is trusted and has no policy, so there is nothing to
wait for until one is written. Metadata that is written while it waits counts; use --seq
to be sure that it is yours.

Exit codes: 0 the policy is in force; 1 it is, but its state isn't one of --state;
7 the port is blocked or quarantined, and --state doesn't name that; 5 timeout. The
message says what it was waiting for and what the state was.`,
		Example: `  vifguard wait tap1                             in a hook, after the port was plugged
  vifguard set tap1 --address 192.0.2.10 --seq 7 && vifguard wait tap1 --seq 7
  vifguard wait tap1 --state enforced --timeout 1m
  vifguard wait tap1 --state blocked             to be sure that it is cut off`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.port, w.hasSeq = args[0], cmd.Flags().Changed("seq")
			if err := w.check(cmd, timeout); err != nil {
				return err
			}
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			s, err := o.openFor(cmd.Context(), timeout+commandTimeout)
			if err != nil {
				return err
			}
			defer s.close()
			r, err := s.wait(w, timeout)
			if format == "json" {
				if err := output(cmd).JSON(r); err != nil {
					return err
				}
			} else if err == nil {
				r.Print(output(cmd))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&w.seq, "seq", "", "sequence number to wait for (default: the port's port-security-seq)")
	cmd.Flags().StringSliceVar(&w.states, "state", []string{"enforced", "observed", "off"}, "states that will do: enforced, observed, off, blocked, quarantined")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait, once connected to ovsdb-server")
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}

func (w *waitFor) check(cmd *cobra.Command, timeout time.Duration) error {
	var valid []string
	for _, s := range model.States() {
		if s != model.StatePending {
			valid = append(valid, string(s))
		}
	}
	for _, s := range w.states {
		if !slices.Contains(valid, s) {
			return usageError(cmd, "--state: %q is not a settled state (want %s)", s, strings.Join(valid, ", "))
		}
	}
	if timeout <= 0 {
		return usageError(cmd, "--timeout: %s is no time to wait (want e.g. 10s)", timeout)
	}
	return nil
}

// waiter waits for a port's policy to be in force. The switch is asked only once OVSDB
// says that all is done, and about the same input again only after a pause, whatever
// happens to other ports meanwhile.
type waiter struct {
	*session
	waitFor
	asked  model.Input // what the switch was asked about last
	answer report.Wait
	again  time.Time // when it may be asked about the same again
	pauses pauses
}

func (s *session) wait(w waitFor, timeout time.Duration) (report.Wait, error) {
	return (&waiter{session: s, waitFor: w}).wait(timeout)
}

// wait compares whenever something may have changed, and at least once.
func (w *waiter) wait(timeout time.Duration) (report.Wait, error) {
	over := time.NewTimer(timeout)
	defer over.Stop()
	for {
		r, err := w.compare()
		if r.Settled || err != nil {
			return r, err
		}
		var again <-chan time.Time // OVSDB reports by itself, the switch doesn't
		if w.answer.Waiting != "" {
			again = time.After(time.Until(w.again))
		}
		select {
		case <-w.ctx.Done():
			return r, w.ctx.Err()
		case <-over.C:
			return r, timedOut(&r, timeout)
		case <-w.Done():
			return r, fmt.Errorf("wait for %s: %w any more", w.port, ovsdb.ErrNotConnected)
		case <-w.Changed():
		case <-again:
		}
	}
}

// compare compares a port's status, and then its flows, with what its metadata asks for.
func (w *waiter) compare() (report.Wait, error) {
	host := w.Host()
	b, row := host.FindInterface(w.port)
	if row == nil {
		return w.forget(report.Wait{Port: w.port, Waiting: "the port to appear on a bridge"}), nil
	}
	r := report.Wait{
		Port: w.port, Bridge: b.Name,
		State: row.ExternalIDs[model.KeyStatusState], Checks: row.ExternalIDs[model.KeyStatusChecks],
		Seq: row.ExternalIDs[model.KeyStatusSeq], Error: row.ExternalIDs[model.KeyStatusError],
	}
	config := model.ResolveBridge(b)
	input := model.NewInput(&config, host.Profiles, row)
	policy := input.Resolve()
	if r.Waiting = w.waiting(&config, &policy, row); r.Waiting != "" {
		return w.forget(r), nil
	}
	same := input.Row == w.asked.Row && input.Same(&w.asked)
	if same && time.Now().Before(w.again) {
		return w.answer, nil
	}
	in := w.inspect(b, row)
	switch p := in.Port(row); {
	case in.Switch != nil:
		return r, in.Switch
	case !p.InForce:
		r.Waiting = "the switch to have its flows"
	case p.Quarantined != (r.State == string(model.StateQuarantined)):
		r.Waiting = "the agent to report that a quarantine has begun or ended"
	}
	if r.Waiting != "" {
		if !same {
			w.pauses = pauses{}
		}
		w.asked, w.answer, w.again = input, r, time.Now().Add(w.pauses.next())
		return r, nil
	}
	return w.inForce(r, &policy, row)
}

// forget returns a result for which the switch wasn't asked.
func (w *waiter) forget(r report.Wait) report.Wait {
	w.asked, w.answer = model.Input{}, report.Wait{}
	return r
}

// inForce says what it means that the port's policy is in force.
func (w *waiter) inForce(r report.Wait, policy *model.Policy, row *model.Interface) (report.Wait, error) {
	r.Settled = true
	switch {
	case slices.Contains(w.states, r.State):
		return r, nil
	case r.State == string(model.StateQuarantined):
		return r, exit.Errorf(exit.Blocked, "%s is quarantined for %s: nothing it sends passes%s", w.port, row.ExternalIDs[model.KeyStatusFlood], r.ErrorText())
	case r.State == string(model.StateBlocked):
		return r, exit.Errorf(exit.Blocked, "%s is blocked (%s): nothing it sends passes%s", w.port, policy.Origins.Mode, r.ErrorText())
	}
	return r, exit.Errorf(exit.No, "%s is %s, and not %s as asked for", w.port, r.State, strings.Join(w.states, " or "))
}

// waiting says what of a port's status doesn't fit its metadata yet; "" when all does.
func (w *waitFor) waiting(config *model.BridgeConfig, policy *model.Policy, row *model.Interface) string {
	want := model.StatusOf(policy, row, config.Problems)
	if w.hasSeq {
		want.Seq, want.HasSeq = w.seq, true
	}
	state := row.ExternalIDs[model.KeyStatusState]
	if state == string(model.StateQuarantined) && policy.FloodLimit() > 0 {
		want.State = model.StateQuarantined // by what it sends
	}
	switch {
	case !config.Guarded:
		return fmt.Sprintf("bridge %s to be guarded (vifguard guard %s)", config.Name, config.Name)
	case policy.Mode == model.Trusted:
		return "keys of vifguard on the port, which is trusted without any"
	case !config.Usable:
		return fmt.Sprintf("bridge %s to be usable", config.Name)
	case row.OFPort == 0:
		return "Open vSwitch to give it an OpenFlow port"
	case state == "":
		return "the agent to report (is vifguard run running?)"
	case want.HasSeq && row.ExternalIDs[model.KeyStatusSeq] != want.Seq:
		return fmt.Sprintf("%s=%s", model.KeyStatusSeq, want.Seq)
	case state != string(want.State):
		return fmt.Sprintf("the state to become %s, as its metadata asks", want.State)
	case row.ExternalIDs[model.KeyStatusChecks] != want.Checks:
		return fmt.Sprintf("the checks to become %s, as its metadata asks", want.Checks)
	}
	return ""
}

// timedOut says what was waited for in vain.
func timedOut(r *report.Wait, timeout time.Duration) error {
	text := fmt.Sprintf("timeout after %s: %s waits for %s", timeout, r.Port, r.Waiting)
	if r.Bridge != "" {
		text += fmt.Sprintf("; state %s, seq %s%s", report.OrNone(r.State), report.OrNone(r.Seq), r.ErrorText())
	}
	return exit.Errorf(exit.Timeout, "%s", text)
}
