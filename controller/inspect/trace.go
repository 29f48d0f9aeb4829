package inspect

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/controller/unixctl"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Trace is what the real switch would do with a frame from a port, without doing it.
type Trace struct {
	Steps    []TraceStep
	Passes   bool         // vifguard lets the frame on
	Around   string       // what lets it pass although vifguard doesn't, in words; "" for nothing
	Ignored  string       // the protocol for which Open vSwitch takes it from the tables and drops it, in words; "" for none
	Reason   model.Reason // why not; with an observed VIF why it would not
	Observed bool         // the frame passes only because the VIF is observed
	Output   string       // what the bridge then does with it: the datapath actions
	Raw      string       // the whole output of ofproto/trace
}

// TraceStep is one flow that the frame met.
type TraceStep struct {
	flows.Step
	Stage flows.Stage
	Why   string // what the flow is for, or whose it is
	Own   bool   // it is vifguard's
}

// Lengths of frames that ovs-vswitchd can trace, in bytes: it needs an Ethernet header, and
// aborts when it is given more than fits into the 16 bits of a packet's length.
const (
	minFrame = 14
	maxFrame = 65535
)

// CheckFrame reports why a frame can't be traced.
func CheckFrame(frame []byte) error {
	switch n := len(frame); {
	case n < minFrame:
		return fmt.Errorf("a frame of %d bytes is shorter than an Ethernet header (want %d to %d bytes)", n, minFrame, maxFrame)
	case n > maxFrame:
		return fmt.Errorf("a frame of %d bytes is longer than ovs-vswitchd can take (want %d to %d bytes)", n, minFrame, maxFrame)
	}
	return nil
}

// TraceFrame asks the switch of an inspected bridge what it would do with a frame that
// a port sends. Neither counters nor learned addresses change. A frame that fails
// [CheckFrame] isn't given to the switch.
func TraceFrame(ctx context.Context, in *Inspection, port *PortInspection, runDir string, frame []byte) (*Trace, error) {
	if err := CheckFrame(frame); err != nil {
		return nil, err
	}
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
		t.add(TraceStep{Step: s, Stage: stageOf(&s, p)}, rule)
		if rule != nil {
			blame, afresh = rule.Actions.BlameAfter(blame), rule.Actions.Afresh
			t.Output = shareOf(t.Output, rule.Actions.Longer, length)
		}
	}
	forwarded := forwards(t.Output, afresh)
	if afresh {
		t.goOn(in, port, blame)
	}
	t.Observed = t.Passes && t.Reason != model.NoReason
	switch taken := takenBefore(output); {
	case taken != "":
		*t = Trace{Raw: t.Raw, Output: t.Output}
		if taken == stpPackets && ignoresBPDUs(in.Bridge, port.Row) {
			t.Ignored = "Open vSwitch takes it before any table, and drops it, as the protocol is off at this port: it " + taken
		} else {
			t.Around = "Open vSwitch takes it before any table: it " + taken
		}
	case forwarded && !t.Passes:
		t.Around = t.around()
	}
	return t
}

// stpPackets is what Open vSwitch says of BPDUs, those of RSTP too.
const stpPackets = "consists of STP packets"

// ignoresBPDUs reports whether BPDUs of a port end there: as long as a bridge speaks either
// protocol, none comes to the tables.
func ignoresBPDUs(b *model.Bridge, port *model.Interface) bool {
	return (!b.Facts.STP || port.Facts.NoSTP()) && (!b.Facts.RSTP || port.Facts.NoRSTP())
}

// stageOf returns the stage that a flow is in: hidden flows are in none.
func stageOf(s *flows.Step, p flows.Pipeline) flows.Stage {
	if s.IsHidden() {
		return flows.Outside
	}
	return flows.Stage(s.Table - p.First)
}

// takenBefore returns what a trace says of a frame of a protocol that Open vSwitch speaks
// itself, such as "consists of STP packets"; "" for other frames.
func takenBefore(output string) string {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "- Consists of "); ok {
			return "consists of " + strings.TrimSuffix(text, ".")
		}
	}
	return ""
}

// around says in words which flow lets a frame pass that vifguard's don't let on: the first
// of others that does more than lead on.
func (t *Trace) around() string {
	for _, others := range []func(*TraceStep) bool{leadsElsewhere, func(*TraceStep) bool { return true }} {
		for i := range t.Steps {
			if s := &t.Steps[i]; !s.Own && !s.NoMatch && others(s) {
				return s.Why + ", " + s.text()
			}
		}
	}
	return "the switch forwards it, though no flow of others is seen"
}

// leadsElsewhere reports whether a flow has an action that isn't there to lead to a table.
func leadsElsewhere(s *TraceStep) bool {
	return slices.ContainsFunc(s.Actions, func(a string) bool {
		return !strings.HasPrefix(a, "goto_table:") && !strings.HasPrefix(a, "resubmit(") && !strings.HasPrefix(a, "->") && a != "drop"
	})
}

// text returns what a flow matches, as far as a trace shows it.
func (s *TraceStep) text() string {
	text := fmt.Sprintf("table=%d,priority=%d", s.Table, s.Priority)
	if s.Match != "" {
		text += "," + string(s.Match)
	}
	return text
}

// add appends a step, which is one of a rule of ours or of nobody's.
func (t *Trace) add(step TraceStep, rule *flows.Rule) {
	_, reason, own := flows.SplitCookie(step.Cookie)
	switch step.Own = own; {
	case rule != nil:
		step.Why = rule.Why
	case step.IsHidden():
		step.Why = "a hidden flow of Open vSwitch's own"
	case !own:
		step.Why = "a flow of somebody else"
	default:
		step.Why = "a flow of vifguard's that isn't asked for"
	}
	if own {
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
			Table: p.Table(r.Stage), Priority: uint32(r.Priority), Cookie: r.Cookie(), Match: flows.IdentifyMatch(r.MatchText()),
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
