package probe

import (
	"context"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Judge reads all that exposure needs of one bridge, by itself and once, and judges it. It
// is for commands: an agent has most of it at hand. A bridge that isn't guarded, or whose
// metadata can't be used, has no findings.
func Judge(ctx context.Context, h *model.Host, b *model.Bridge, runDir string) []exposure.Finding {
	foreign, err := foreign(ctx, openflow.ManagementSocket(runDir, b.Name))
	return (&Reader{RunDir: runDir, Bridge: b.Name}).Judge(ctx, h, b, foreign, err)
}

// Judge is the function [Judge] for who has read the flows of the bridge that aren't
// vifguard's, or knows why they can't be read, and judges again and again.
func (r *Reader) Judge(ctx context.Context, h *model.Host, b *model.Bridge, foreign []flows.Entry, foreignErr error) []exposure.Finding {
	config := model.ResolveBridge(b)
	if !config.Guarded || !config.Usable {
		return nil
	}
	policies := make([]*model.Policy, len(b.Interfaces))
	for i, row := range b.Interfaces {
		p := model.Resolve(&config, h.Profiles, row)
		policies[i] = &p
	}
	return exposure.Judge(&exposure.Input{
		Host: h, Bridge: b, VIFs: exposure.VIFs(b.Interfaces, policies),
		Stages:  flows.PipelineOf(&config.Settings),
		Foreign: foreign, FlowsErr: foreignErr,
		Hidden: r.Read(ctx, h, b), Addresses: r.Addresses(h),
	})
}

// foreign returns the flows of a bridge that aren't vifguard's.
func foreign(ctx context.Context, socket string) ([]flows.Entry, error) {
	conn, err := openflow.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	all, err := conn.Flows(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	return openflow.Foreign(all), nil
}
