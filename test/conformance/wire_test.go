package conformance

import (
	"encoding/hex"
	"testing"
)

// TestWire injects every frame under every policy as real bytes into a real switch
// under a running agent. A frame must arrive or be dropped as the table says, and be
// counted for exactly the reason that the table gives.
func TestWire(t *testing.T) {
	policies := Policies()
	g, vifs := guardPolicies(t)
	checks, limits, differing := 0, 0, 0
	for _, f := range Frames() {
		sent := map[string][]byte{}
		for _, p := range policies {
			sent[p.Name] = f.Bytes(vifs[p.Name])
		}
		outcomes, err := g.round(t.Context(), sent)
		if err != nil {
			t.Errorf("%s: %s: %v", f.Class, f.Name, err)
			continue
		}
		for _, p := range policies {
			checks++
			if f.Limit != nil {
				limits++
			}
			frame, want, o := sent[p.Name], f.Seen(&p), outcomes[p.Name]
			if g.inKernel {
				want = f.SeenByKernel(&p)
			}
			switch got := o.verdict(p.Observe); {
			case got == want && (!g.inKernel || !refused(frame)):
			case g.inKernel && allowedInKernel(frame, want, p.Observe, o):
				differing++
			default:
				t.Errorf("%s: %s (%s)\npolicy %s: want %s, got %s\n%s",
					f.Class, f.Name, f.Source, p.Name, want, got, hex.EncodeToString(frame))
			}
		}
	}
	if err := g.inspected(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d frames, %d policies: %d verdicts, %d of them at the limits of the switch, %d refused or counted otherwise by the kernel",
		len(Frames()), len(policies), checks, limits, differing)
}

// guardPolicies guards one port for every policy, and returns the identities of their
// VIFs by the policy's name, which is the port's too.
func guardPolicies(t *testing.T) (*guarded, map[string]*VIF) {
	t.Helper()
	keys := map[string]keysOfPort{}
	vifs := map[string]*VIF{}
	for n, p := range Policies() {
		vifs[p.Name] = NewVIF(byte(n + 1))
		keys[p.Name] = p.ExternalIDs(vifs[p.Name])
	}
	return guard(t, keys), vifs
}
