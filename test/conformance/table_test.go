package conformance

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/conformance/oracle"
)

// minFrames is how many frames the suite promises.
const minFrames = 200

// verdict writes the outcome of an oracle as the table does.
func verdict(reason string) string {
	if reason == "" {
		return Pass
	}
	return reason
}

// The table and the oracle are two readings of the contract; they must agree on every
// frame under every policy.
func TestTableAndOracleAgree(t *testing.T) {
	frames := Frames()
	for n, p := range Policies() {
		t.Run(p.Name, func(t *testing.T) {
			v := NewVIF(byte(n + 1))
			policy := p.Resolve(v)
			for _, f := range frames {
				want, b := f.Verdicts.Want(&p), f.Bytes(v)
				pass, reason := oracle.Judge(&policy, b)
				if got := verdict(reason); got != want {
					t.Errorf("%s: %s\ntable %s, oracle %s\n%s", f.Class, f.Name, want, got, hex.EncodeToString(b))
				}
				if pass != (want == Pass || p.Observe) {
					t.Errorf("%s: %s\npasses %v with the verdict %s", f.Class, f.Name, pass, want)
				}
				seen := f.Seen(&p)
				if _, reason := oracle.JudgeSeen(&policy, b); verdict(reason) != seen {
					t.Errorf("%s: %s, with the switch's eyes\ntable %s, oracle %s\n%s", f.Class, f.Name, seen, verdict(reason), hex.EncodeToString(b))
				}
			}
		})
	}
}

func TestFramesAreWellFormed(t *testing.T) {
	frames, names := Frames(), map[string]bool{}
	if len(frames) < minFrames {
		t.Errorf("%d frames, want %d", len(frames), minFrames)
	}
	policies := Policies()
	known := map[string]bool{}
	for _, p := range policies {
		known[p.Name] = true
	}
	a, b := NewVIF(1), NewVIF(2)
	for _, f := range frames {
		name := f.Class + ": " + f.Name
		if names[name] {
			t.Errorf("%s: there are two", name)
		}
		names[name] = true
		if f.Source == "" {
			t.Errorf("%s: no source", name)
		}
		if bytes.Equal(f.Bytes(a), f.Bytes(b)) {
			t.Errorf("%s: doesn't depend on the VIF", name)
		}
		if !bytes.Equal(f.Bytes(a), f.Bytes(a)) {
			t.Errorf("%s: isn't always the same", name)
		}
		for p := range f.Verdicts.exceptions {
			if !known[p] {
				t.Errorf("%s: unknown policy %q", name, p)
			}
		}
	}
}

// Every verdict that the contract knows occurs, and every frame that is dropped
// anywhere passes without checks.
func TestEveryVerdictOccurs(t *testing.T) {
	var missing []string
	for _, want := range []string{Pass, MAC, VLAN, EtherType, ARP, ND, DHCPServer, Router, IP, Malformed, Blocked} {
		occurs := slices.ContainsFunc(Frames(), func(f Frame) bool {
			return slices.ContainsFunc(Policies(), func(p Policy) bool { return f.Verdicts.Want(&p) == want })
		})
		if !occurs {
			missing = append(missing, want)
		}
	}
	if missing != nil {
		t.Errorf("no frame for %v", missing)
	}
}

// The policies are what their level says, and have no metadata in error but that of
// the one made for it.
func TestPoliciesResolve(t *testing.T) {
	for _, p := range Policies() {
		got := p.Resolve(NewVIF(1))
		want := map[Level]model.Checks{LevelMAC: model.CheckMAC, LevelARP: model.CheckMACARP, LevelIP: model.CheckMACARPIP}[p.Level]
		mode := map[Level]model.Mode{LevelOff: model.Off, LevelBlock: model.Blocked}[p.Level]
		if want != model.CheckNone {
			mode = model.Checked
		}
		if got.Checks != want || got.Mode != mode || (got.Action == model.Observe) != p.Observe {
			t.Errorf("%s: resolves to mode %d, checks %q, action %s", p.Name, got.Mode, got.Checks, got.Action)
		}
		if text := got.Problems.String(); (text != "") != (p.Name == "bad-mac") {
			t.Errorf("%s: problems %q", p.Name, text)
		}
	}
}
