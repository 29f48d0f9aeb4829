package inspect

import (
	"testing"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// twoPorts is a bridge with a VIF that has a flood limit and one that has none.
func twoPorts() *model.Bridge {
	return &model.Bridge{
		Name: "br0", ExternalIDs: map[string]string{model.KeyChecks: "auto"},
		Interfaces: []*model.Interface{
			{UUID: "00000000-0100-0000-0000-000000000001", Name: "tap1", OFPort: 1, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:01", model.KeyFlood: "1000", model.KeyAddresses: "192.0.2.1"}},
			{UUID: "00000000-0200-0000-0000-000000000002", Name: "tap2", OFPort: 2, ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:02"}},
		},
	}
}

// program returns the flows of a port with a runtime, as a switch would have them.
func program(t *testing.T, config *model.BridgeConfig, row *model.Interface, r flows.Runtime) (have []*openflow.Flow) {
	t.Helper()
	in := flows.Input{Input: model.NewInput(config, nil, row), Runtime: r}
	entries, err := openflow.EncodeAll(in.Compile().Rules, flows.PipelineOf(&config.Settings))
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		e := openflow.Flow{Entry: entries[i]}
		have = append(have, &e)
	}
	return have
}

// Whatever the agent has found out while it ran, the flows show it.
func TestFlowsShowTheRuntime(t *testing.T) {
	b := twoPorts()
	config := model.ResolveBridge(b)
	for _, sampledBefore := range []bool{false, true} {
		for _, want := range []flows.Runtime{{}, {Sampled: true}, {Quarantine: 15}, {Sampled: true, Quarantine: 15}} {
			for _, row := range b.Interfaces {
				r := newReader(b, &config, nil)
				r.sampled = sampledBefore
				a := r.port(row, program(t, &config, row, want))
				limited := row.Name == "tap1"
				if a.Sampled != want.Sampled || a.quarantined() != (limited && want.Quarantine > 0) {
					t.Errorf("%s with %+v: explained by %+v", row.Name, want, a.Runtime)
				}
				for _, rule := range a.rules {
					if !rule.installed() {
						t.Errorf("%s with %+v: missing: %s", row.Name, want, rule.Why)
					}
				}
			}
		}
	}
}

// Flows that are partly wrong are explained by what most of them say.
func TestWrongFlowsAreCompared(t *testing.T) {
	b := twoPorts()
	config := model.ResolveBridge(b)
	row := b.Interfaces[0]
	have := program(t, &config, row, flows.Runtime{Sampled: true})
	have[1].Instructions = "wrong"
	a := newReader(b, &config, nil).port(row, have[:len(have)-1])
	wrong := 0
	for _, rule := range a.rules {
		if !rule.installed() {
			wrong++
		}
	}
	if !a.Sampled || wrong != 2 {
		t.Errorf("sampled: %v, %d rules missing or changed; want 2", a.Sampled, wrong)
	}
}

// A number that two rows claim is nobody's: nothing is asked for, and nothing in force.
func TestContestedPortsArePending(t *testing.T) {
	b := twoPorts()
	b.Interfaces[1].OFPort = 1
	config := model.ResolveBridge(b)
	in := Inspection{Bridge: b, Config: config}
	read := newReader(b, &config, nil)
	for _, row := range b.Interfaces {
		p := in.port(read.port(row, nil), nil)
		if !p.Pending || p.InForce || len(p.Rules) != 0 || len(p.Policy.Problems) != 1 {
			t.Errorf("%s: %+v", row.Name, p)
		}
	}
	if !in.InForce() {
		t.Error("a bridge with pending ports waits for them")
	}
}
