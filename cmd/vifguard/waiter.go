package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

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
	case p.Quarantined != (r.State == string(model.StateQuarantined)) && r.State != string(model.StateExposed):
		r.Waiting = "the agent to report that a quarantine has begun or ended"
	}
	if r.Waiting != "" {
		if !same {
			w.pauses = pauses{}
		}
		w.asked, w.answer, w.again = input, r, time.Now().Add(w.pauses.next())
		return r, nil
	}
	w.judge(&in, row)
	if state, why := in.State(in.Port(row)); in.Judged {
		r.State, r.Error = string(state), why
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
	case r.State == string(model.StateExposed):
		return r, exit.Errorf(exit.Exposed, "%s is exposed: its rules are in force, but frames can pass around them%s", w.port, r.ErrorText())
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
	switch {
	case state == string(model.StateQuarantined) && policy.FloodLimit() > 0:
		want.State = model.StateQuarantined // by what it sends
	case state == string(model.StateExposed):
		want.Expose("") // by what isn't in its metadata
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
