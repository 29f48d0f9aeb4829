package conformance

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/controller/inspect"
)

// TestTrace asks the switch what it would do with every frame under every policy, as
// "vifguard trace" does: the answer must be the table's, and every step but the
// bridge's own must be put into words.
func TestTrace(t *testing.T) {
	policies := Policies()
	g, vifs := guardPolicies(t)
	in := inspect.Bridge(t.Context(), g.db.Host().Bridge(bridge), nil, g.Dir)
	ports := map[string]*inspect.PortInspection{}
	for i := range in.Ports {
		ports[in.Ports[i].Row.Name] = &in.Ports[i]
	}
	for _, f := range Frames() {
		for _, p := range policies {
			frame := f.Bytes(vifs[p.Name])
			trace, err := inspect.TraceFrame(t.Context(), &in, ports[p.Name], g.Dir, frame)
			if err != nil {
				t.Fatalf("%s: %s: policy %s: %v", f.Class, f.Name, p.Name, err)
			}
			want := f.Seen(&p)
			got := Pass
			if trace.Reason != 0 {
				got = trace.Reason.String()
			}
			if got != want || trace.Passes != (want == Pass || p.Observe) {
				t.Errorf("%s: %s (%s)\npolicy %s: want %s, got %s\n%s\n%s", f.Class, f.Name, f.Source, p.Name, want, got, hex.EncodeToString(frame), trace.Raw)
			}
			if trace.Around != "" || trace.Ignored != "" {
				t.Errorf("%s: %s: policy %s: passes around the checks: %s%s\n%s", f.Class, f.Name, p.Name, trace.Around, trace.Ignored, trace.Raw)
			}
			for _, s := range trace.Steps {
				if s.Own && strings.Contains(s.Why, "isn't asked for") {
					t.Errorf("%s: %s: policy %s: no words for table %d, %s", f.Class, f.Name, p.Name, s.Table, s.Match)
				}
			}
		}
	}
}
