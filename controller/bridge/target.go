package bridge

import (
	"maps"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Target is what a bridge's worker is to achieve. It is immutable.
type Target struct {
	Host     *model.Host // that Bridge is of, when the target was new
	Bridge   *model.Bridge
	Config   model.BridgeConfig
	Profiles map[string]string
}

// NewTarget resolves a bridge's own metadata.
func NewTarget(h *model.Host, b *model.Bridge) *Target {
	return &Target{Host: h, Bridge: b, Config: model.ResolveBridge(b), Profiles: h.Profiles}
}

// Same reports whether two targets ask for the same, and are to be judged by the same.
func (t *Target) Same(o *Target) bool {
	return o != nil && t.Bridge == o.Bridge && maps.Equal(t.Profiles, o.Profiles) && t.Host.Facts.Equal(o.Host.Facts)
}

func (t *Target) pipeline() flows.Pipeline { return flows.PipelineOf(&t.Config.Settings) }
