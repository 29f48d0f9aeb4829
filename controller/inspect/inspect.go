package inspect

import (
	"context"
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Inspection is what OVSDB asks for on one guarded bridge beside what its switch has.
// It is made without the agent, so it is true while the agent is down too.
type Inspection struct {
	Bridge *model.Bridge
	Config model.BridgeConfig
	Switch error // why the switch couldn't be read; the counters are missing then
	Ports  []PortInspection
	Shared []RuleInspection

	// UnknownPort counts the packets dropped because their port wasn't programmed yet.
	UnknownPort uint64
}

// PortInspection is one port of an inspected bridge.
type PortInspection struct {
	Row     *model.Interface
	Policy  model.Policy
	Rules   []RuleInspection        // the port's own rules; none without an OpenFlow port
	Drops   map[model.Reason]uint64 // packets by reason, as counted so far
	InForce bool                    // the switch has exactly the port's rules

	// Quarantined says that nothing passes because the port floods. The flow that makes
	// it so is one of Rules then.
	Quarantined bool
}

// RuleInspection is a rule with its counter.
type RuleInspection struct {
	flows.Rule
	Installed bool // the switch has it, with these actions
	Packets   uint64
}

// Inspect reads one bridge. Problems with its switch are part of the result.
func Inspect(ctx context.Context, b *model.Bridge, profiles map[string]string, runDir string) Inspection {
	in := Inspection{Bridge: b, Config: model.ResolveBridge(b)}
	var have []openflow.Flow
	if have, in.Switch = readFlows(ctx, openflow.ManagementSocket(runDir, b.Name)); in.Switch != nil {
		in.Switch = fmt.Errorf("bridge %s: %w", b.Name, in.Switch)
	}
	byKey := make(map[flows.Key]*openflow.Flow, len(have))
	byOwner := make(map[flows.VIFID][]*openflow.Flow)
	for i, f := range have {
		owner, _, _ := flows.SplitCookie(f.Cookie)
		byKey[f.Key] = &have[i]
		byOwner[owner] = append(byOwner[owner], &have[i])
	}
	in.Shared = inspectRules(flows.Shared(), in.Pipeline(), byKey)
	for _, r := range in.Shared {
		if r.Counts == model.ReasonUnknownPort {
			in.UnknownPort += r.Packets
		}
	}
	for _, row := range b.Interfaces {
		p := PortInspection{Row: row, Policy: model.Resolve(&in.Config, profiles, row), Drops: map[model.Reason]uint64{}}
		id := flows.ParseVIFID(row.UUID)
		if row.OFPort != 0 {
			var rules []flows.Rule
			rules, p.Quarantined = compilePort(flows.Port{VIF: id, InPort: row.OFPort, Policy: &p.Policy}, byOwner[id])
			p.Rules = inspectRules(rules, in.Pipeline(), byKey)
		}
		p.InForce = row.OFPort != 0 && in.Switch == nil && len(byOwner[id]) == len(p.Rules)
		for _, r := range p.Rules {
			p.InForce = p.InForce && r.Installed
		}
		for _, f := range byOwner[id] {
			if _, reason, _ := flows.SplitCookie(f.Cookie); reason != model.NoReason {
				p.Drops[reason] += f.Packets
			}
		}
		in.Ports = append(in.Ports, p)
	}
	return in
}

// compilePort returns the rules of a port, given its flows: whether it is quarantined is
// up to the agent, and shows in the one flow that the switch itself will delete.
func compilePort(port flows.Port, have []*openflow.Flow) (rules []flows.Rule, quarantined bool) {
	for _, f := range have {
		port.Quarantine = max(port.Quarantine, f.Timeout)
	}
	rules = flows.Compile(port)
	return rules, slices.ContainsFunc(rules, func(r flows.Rule) bool { return r.Timeout > 0 })
}

// InForce reports whether the switch has exactly what OVSDB asks for on every port that
// has an OpenFlow number, and the shared rules.
func (in *Inspection) InForce() bool {
	for _, r := range in.Shared {
		if !r.Installed {
			return false
		}
	}
	for _, p := range in.Ports {
		if p.Row.OFPort != 0 && !p.InForce {
			return false
		}
	}
	return in.Switch == nil
}

// ForeignFlows counts the flows of a bridge that aren't vifguard's, without the one that
// Open vSwitch itself puts into a bridge that isn't secure.
func ForeignFlows(ctx context.Context, runDir, bridge string) (int, error) {
	conn, err := openflow.Dial(ctx, openflow.ManagementSocket(runDir, bridge))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	all, err := conn.Flows(ctx, 0, 0)
	n := 0
	for _, f := range all {
		_, _, own := flows.SplitCookie(f.Cookie)
		if !own && (f.Table != 0 || f.Priority != 0) {
			n++
		}
	}
	return n, err
}

// Port returns the inspection of an interface, or nil.
func (in *Inspection) Port(row *model.Interface) *PortInspection {
	for i := range in.Ports {
		if in.Ports[i].Row.UUID == row.UUID {
			return &in.Ports[i]
		}
	}
	return nil
}

func readFlows(ctx context.Context, socket string) ([]openflow.Flow, error) {
	conn, err := openflow.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.OwnFlows(ctx)
}

func inspectRules(rules []flows.Rule, p flows.Pipeline, have map[flows.Key]*openflow.Flow) []RuleInspection {
	list := make([]RuleInspection, len(rules))
	for i, r := range rules {
		list[i].Rule = r
		want, err := openflow.Encode(&r, p)
		f := have[want.Key]
		if err != nil || f == nil {
			continue
		}
		list[i].Installed = f.Entry == want
		list[i].Packets = f.Packets
		if sampled, ok := asSampled(&r, &f.Entry, p); ok {
			list[i] = RuleInspection{Rule: sampled, Installed: true, Packets: f.Packets}
		}
	}
	return list
}

// Pipeline returns where the stages lie on the bridge.
func (in *Inspection) Pipeline() flows.Pipeline {
	return flows.PipelineOf(&in.Config.Settings)
}

// Release removes vifguard's flows from a bridge, as the agent does when the bridge
// opts out, and returns their number.
func Release(ctx context.Context, runDir, bridge string) (int, error) {
	conn, err := openflow.Dial(ctx, openflow.ManagementSocket(runDir, bridge))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.Release(ctx)
}

// asSampled returns a rule with samples, and whether that is what the switch has.
// Whether there are samples is up to the agent and means nothing for what passes, so a
// switch is right with them and without.
func asSampled(r *flows.Rule, have *flows.Entry, p flows.Pipeline) (flows.Rule, bool) {
	sampled := flows.Sampled([]flows.Rule{*r})[0]
	entry, err := openflow.Encode(&sampled, p)
	return sampled, err == nil && entry == *have
}
