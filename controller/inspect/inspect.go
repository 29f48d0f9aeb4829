package inspect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vifguard/vifguard/controller/exposure"
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

	// Findings are what decides about frames of the VIFs beside the tables, if that was
	// Judged.
	Findings []exposure.Finding
	Judged   bool

	foreign []flows.Entry // flows that aren't vifguard's, of an inspection of all ports
}

// PortInspection is one port of an inspected bridge.
type PortInspection struct {
	Row     *model.Interface
	Policy  model.Policy
	Pending bool                    // it has no OpenFlow port, or none of its own
	Rules   []RuleInspection        // the port's own rules; none while it is pending
	Drops   map[model.Reason]uint64 // packets by reason, as counted so far
	InForce bool                    // the switch has exactly the port's rules

	// Quarantined says that nothing passes because the port floods. The flow that makes
	// it so is one of Rules then.
	Quarantined bool
}

// IsVIF reports whether the port is a VIF, and not trusted.
func (p *PortInspection) IsVIF() bool { return p.Policy.Mode != model.Trusted }

// RuleInspection is a rule with its counter.
type RuleInspection struct {
	flows.Rule
	Installed bool // the switch has it, with these actions
	Packets   uint64
	Age       time.Duration // since the switch added it
}

// Bridge compares the given ports of a bridge, all of them if none is given, and the rules
// that its ports share, with the switch. What it costs the switch and the caller depends on
// the number of those ports and hardly on that of the others. Problems with the switch are
// part of the result.
func Bridge(ctx context.Context, b *model.Bridge, profiles map[string]string, runDir string, ports ...*model.Interface) Inspection {
	in := Inspection{Bridge: b, Config: model.ResolveBridge(b)}
	have, err := readFlows(ctx, openflow.ManagementSocket(runDir, b.Name), ports)
	if err != nil {
		in.Switch = fmt.Errorf("bridge %s: %w", b.Name, err)
	}
	in.foreign = openflow.Foreign(have)
	owners, read := byOwner(have), newReader(b, &in.Config, profiles)
	shared := read.shared(owners[0])
	in.Shared = shared.inspect()
	for _, r := range in.Shared {
		if r.Counts == model.ReasonUnknownPort {
			in.UnknownPort += r.Packets
		}
	}
	if len(ports) == 0 {
		ports = b.Interfaces
	}
	for _, row := range ports {
		have := owners[flows.ParseVIFID(row.UUID)]
		in.Ports = append(in.Ports, in.port(read.port(row, have), have))
	}
	return in
}

// port compares the flows that a port has with those that are asked for.
func (in *Inspection) port(a asked, have []*openflow.Flow) PortInspection {
	p := PortInspection{
		Row: a.Row, Policy: a.Policy, Pending: a.Pending(), Rules: a.inspect(), Drops: map[model.Reason]uint64{},
		Quarantined: a.quarantined(),
	}
	for _, f := range have {
		if _, reason, _ := flows.SplitCookie(f.Cookie); reason != model.NoReason {
			p.Drops[reason] += f.Packets
		}
	}
	p.InForce = !p.Pending && in.Switch == nil && len(have) == len(p.Rules) &&
		!slices.ContainsFunc(p.Rules, func(r RuleInspection) bool { return !r.Installed })
	return p
}

// inspect returns the rules with the counters of their flows.
func (a *asked) inspect() []RuleInspection {
	list := make([]RuleInspection, len(a.rules))
	for i := range a.rules {
		r := &a.rules[i]
		list[i] = RuleInspection{Rule: *r.Rule, Installed: r.installed()}
		if r.have != nil {
			list[i].Packets, list[i].Age = r.have.Packets, r.have.Age
		}
	}
	return list
}

// InForce reports whether the switch has exactly what OVSDB asks for on every port that
// isn't pending, and the shared rules.
func (in *Inspection) InForce() bool {
	for _, r := range in.Shared {
		if !r.Installed {
			return false
		}
	}
	for _, p := range in.Ports {
		if !p.Pending && !p.InForce {
			return false
		}
	}
	return in.Switch == nil
}

// Oldest returns the age of the oldest of the shared flows. It is no more than the time
// since the switch cleared its flows, if all of them were written anew.
func (in *Inspection) Oldest() (age time.Duration) {
	for _, r := range in.Shared {
		age = max(age, r.Age)
	}
	return age
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

// readFlows returns the flows on a bridge. With ports these are only vifguard's of the
// ports and those that all share.
func readFlows(ctx context.Context, socket string, ports []*model.Interface) ([]openflow.Flow, error) {
	conn, err := openflow.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if len(ports) == 0 {
		return conn.Flows(ctx, 0, 0)
	}
	cookies := flows.Cookies(0)
	for _, row := range ports {
		cookies = append(cookies, flows.Cookies(flows.ParseVIFID(row.UUID))...)
	}
	return conn.CookieFlows(ctx, cookies...)
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
