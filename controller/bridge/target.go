package bridge

import (
	"maps"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Target is what a bridge's worker is to achieve. It is immutable.
type Target struct {
	Bridge   *model.Bridge
	Config   model.BridgeConfig
	Profiles map[string]string
}

// NewTarget resolves a bridge's own metadata.
func NewTarget(b *model.Bridge, profiles map[string]string) *Target {
	return &Target{Bridge: b, Config: model.ResolveBridge(b), Profiles: profiles}
}

// Same reports whether two targets ask for the same.
func (t *Target) Same(o *Target) bool {
	return o != nil && t.Bridge == o.Bridge && maps.Equal(t.Profiles, o.Profiles)
}

func (t *Target) pipeline() flows.Pipeline { return flows.PipelineOf(&t.Config.Settings) }
