package inspect

import (
	"context"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
	"github.com/vifguard/vifguard/model"
)

// Judge finds what decides about the frames of an inspected bridge's VIFs beside its tables,
// of an inspection of all ports. hidden is the bridge's, and reads the hidden flows.
func (in *Inspection) Judge(ctx context.Context, h *model.Host, hidden *probe.Reader) {
	in.Findings, in.Judged = hidden.Judge(ctx, h, in.Bridge, in.foreign, in.Switch), true
}

// Exposure returns the exposed finding that a port's state is owed to, or nil: one that
// concerns it, if anything of it is dropped at all.
func (in *Inspection) Exposure(p *PortInspection) *exposure.Finding {
	if p.IsVIF() && model.StateOf(&p.Policy).Drops() {
		return exposure.Of(in.Findings, p.Row.Name)
	}
	return nil
}

// State returns the state of a VIF, "" for unknown, and what is to be said of it by who
// reported it: what the agent reported, but whether the VIF is exposed by what was found, if
// that was judged.
func (in *Inspection) State(p *PortInspection) (s model.State, why string) {
	ids := p.Row.ExternalIDs
	s, why = model.State(ids[model.KeyStatusState]), ids[model.KeyStatusError]
	if !in.Judged {
		return s, why
	}
	if s == model.StateExposed {
		s, why = model.StateOf(&p.Policy), p.Policy.Problems.String()
		if p.Quarantined {
			s = model.StateQuarantined
		}
	}
	f := in.Exposure(p)
	if f == nil {
		return s, why
	}
	status := model.Status{State: s, Error: why}
	if s == "" && p.InForce {
		status.State = model.StateOf(&p.Policy) // nobody has reported it
	}
	if status.Expose(f.Words()); s == "" && status.State != model.StateExposed {
		status.Error = f.Words()
	}
	return status.State, status.Error
}

// Concerning returns what was found about a port, notices too.
func (in *Inspection) Concerning(p *PortInspection) (list []exposure.Finding) {
	if !p.IsVIF() || p.Policy.Mode == model.Off {
		return nil
	}
	for i := range in.Findings {
		if f := &in.Findings[i]; f.Concerns(p.Row.Name) {
			list = append(list, *f)
		}
	}
	return list
}
