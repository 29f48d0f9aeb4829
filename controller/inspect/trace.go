package inspect

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/vifguard/vifguard/controller/unixctl"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Trace is what the real switch would do with a frame from a port, without doing it.
type Trace struct {
	Steps    []TraceStep
	Passes   bool         // vifguard lets the frame on
	Reason   model.Reason // why not; with an observed VIF why it would not
	Observed bool         // the frame passes only because the VIF is observed
	Output   string       // what the bridge then does with it: the datapath actions
	Raw      string       // the whole output of ofproto/trace
}

// TraceStep is one flow that the frame met.
type TraceStep struct {
	flows.Step
	Stage flows.Stage
	Why   string // what vifguard's rule is for; "" for a flow of somebody else
}

// TraceFrame asks the switch of an inspected bridge what it would do with a frame that
// a port sends. Neither counters nor learned addresses change.
func TraceFrame(ctx context.Context, in *Inspection, port *PortInspection, runDir string, frame []byte) (*Trace, error) {
	if port.Row.OFPort == 0 {
		return nil, fmt.Errorf("%s has no OpenFlow port yet", port.Row.Name)
	}
	ctl, err := unixctl.Find(runDir, "ovs-vswitchd")
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	number := fmt.Sprint(port.Row.OFPort)
	if port.Row.OFPort == model.LocalPort {
		number = "LOCAL"
	}
	out, err := ctl.Call(ctx, "ofproto/trace", in.Bridge.Name, "in_port="+number, hex.EncodeToString(frame))
	if err != nil {
		return nil, fmt.Errorf("trace on bridge %s: %w", in.Bridge.Name, err)
	}
	length := len(frame)
	if t := in.Bridge.Facts.DatapathType; t != "" && t != "system" {
		length -= behind(frame) // the kernel measures all of it, userspace the packet
	}
	return readTrace(in, port, out, length), nil
}

// behind returns how many bytes follow the IPv6 packet in a frame, which may have a tag.
func behind(frame []byte) int {
	const ethernet, tag, header = 14, 4, 40
	at := ethernet
	if len(frame) >= at+tag && binary.BigEndian.Uint16(frame[12:]) == model.EtherTypeVLAN {
		at += tag
	}
	if len(frame) < at+header || binary.BigEndian.Uint16(frame[at-2:]) != model.EtherTypeIPv6 {
		return 0
	}
	return max(0, len(frame)-at-header-int(binary.BigEndian.Uint16(frame[at+4:])))
}

// readTrace reads the output of ofproto/trace in terms of the stages.
func readTrace(in *Inspection, port *PortInspection, output string, length int) *Trace {
	t := &Trace{Raw: output}
	p := in.Pipeline()
	for line := range strings.Lines(output) {
		if actions, ok := strings.CutPrefix(line, "Datapath actions: "); ok {
			t.Output = strings.TrimSpace(actions)
		}
	}
	blame, afresh := model.NoReason, false
	for _, s := range flows.ParseTrace(output, length) {
		rule := ruleOf(&s, p, port.Rules, in.Shared)
		t.add(TraceStep{Step: s, Stage: flows.Stage(s.Table - p.First)}, rule)
		if rule != nil {
			blame, afresh = rule.Actions.BlameAfter(blame), rule.Actions.Afresh
			t.Output = shareOf(t.Output, rule.Actions.Longer, length)
		}
	}
	if afresh {
		t.goOn(in, port, blame)
	}
	t.Observed = t.Passes && t.Reason != model.NoReason
	return t
}

// add appends a step, which is one of a rule of ours or of nobody's.
func (t *Trace) add(step TraceStep, rule *flows.Rule) {
	_, reason, ours := flows.SplitCookie(step.Cookie)
	if rule != nil {
		step.Why = rule.Why
	}
	if ours {
		if step.Stage == flows.StageDrop {
			t.Reason = reason
		}
		t.Passes = t.Passes || step.Stage == flows.StageExit
	}
	t.Steps = append(t.Steps, step)
}

// goOn adds the steps of a refused packet whose way leads into a megaflow of its own,
// which the switch doesn't trace.
func (t *Trace) goOn(in *Inspection, port *PortInspection, blame model.Reason) {
	p := in.Pipeline()
	step := func(r *flows.Rule) {
		t.add(TraceStep{Stage: r.Stage, Step: flows.Step{
			Table: p.Table(r.Stage), Priority: r.Priority, Cookie: r.Cookie(), Match: flows.IdentifyMatch(r.MatchText()),
		}}, r)
	}
	t.Output = ""
	for i := range port.Rules {
		counter := &port.Rules[i].Rule
		if counter.Stage != flows.StageDrop || counter.Counts != blame {
			continue
		}
		step(counter)
		for j := range in.Shared {
			if exit := &in.Shared[j].Rule; counter.Actions.Stage == flows.StageExit && exit.Stage == flows.StageExit {
				step(exit)
			}
		}
	}
}

// shareOf returns what the datapath does with packets of a length, of what it does with
// longer and with other ones.
func shareOf(actions string, longest uint16, length int) string {
	rest, ok := strings.CutPrefix(actions, fmt.Sprintf("check_pkt_len(size=%d,gt(", longest))
	longer, others, ok2 := strings.Cut(strings.TrimSuffix(rest, "))"), "),le(")
	switch {
	case !ok || !ok2:
		return actions
	case length > int(longest):
		return longer
	}
	return others
}

// ruleOf returns the rule that a step is a flow of, or nil.
func ruleOf(s *flows.Step, p flows.Pipeline, lists ...[]RuleInspection) *flows.Rule {
	for _, rules := range lists {
		for i := range rules {
			if s.IsRule(&rules[i].Rule, p) {
				return &rules[i].Rule
			}
		}
	}
	return nil
}
