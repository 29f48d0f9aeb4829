package inspect

import (
	"context"
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
	return readTrace(in, port, out), nil
}

// readTrace reads what the switch said in terms of the stages.
func readTrace(in *Inspection, port *PortInspection, output string) *Trace {
	t := &Trace{Raw: output}
	p := in.Pipeline()
	for _, s := range flows.ParseTrace(output) {
		step := TraceStep{Step: s, Stage: flows.Stage(s.Table - p.First)}
		_, reason, ours := flows.SplitCookie(s.Cookie)
		if ours {
			step.Why = whyOf(&s, p, port.Rules, in.Shared)
			if step.Stage == flows.StageDrop {
				t.Reason = reason
			}
			t.Passes = t.Passes || step.Stage == flows.StageExit
		}
		t.Steps = append(t.Steps, step)
	}
	t.Observed = t.Passes && t.Reason != model.NoReason
	for line := range strings.Lines(output) {
		if actions, ok := strings.CutPrefix(line, "Datapath actions: "); ok {
			t.Output = strings.TrimSpace(actions)
		}
	}
	return t
}

func whyOf(s *flows.Step, p flows.Pipeline, lists ...[]RuleInspection) string {
	for _, rules := range lists {
		for i := range rules {
			if s.IsRule(&rules[i].Rule, p) {
				return rules[i].Why
			}
		}
	}
	return ""
}
