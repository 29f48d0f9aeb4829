package inspect

import (
	"context"
	"time"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// LastDrops returns how long ago each port of an inspected bridge last sent what is
// dropped, or would be if it weren't only observed, by Interface row UUID. Ports that
// never did aren't in it. The error is [openflow.ErrNoTimes] (wrapped) where the bridge
// doesn't speak OpenFlow 1.5.
func LastDrops(ctx context.Context, in *Inspection, runDir string) (map[string]time.Duration, error) {
	usage, err := openflow.ReadUsage(ctx, openflow.ManagementSocket(runDir, in.Bridge.Name))
	if err != nil {
		return nil, err
	}
	ports := make(map[flows.VIFID]string, len(in.Ports))
	for i := range in.Ports {
		uuid := in.Ports[i].Row.UUID
		ports[flows.ParseVIFID(uuid)] = uuid
	}
	last := make(map[string]time.Duration)
	for id, u := range usage {
		vif, reason, _ := flows.SplitCookie(id.Cookie)
		uuid, ok := ports[vif]
		if !ok || reason == model.NoReason || u.Packets == 0 {
			continue
		}
		if before, ok := last[uuid]; !ok || u.Idle < before {
			last[uuid] = u.Idle
		}
	}
	return last, nil
}
