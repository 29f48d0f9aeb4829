package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClosePort(t *testing.T) {
	checked, off := &Policy{Mode: Checked}, &Policy{Mode: Off}
	for name, test := range map[string]struct {
		bridge BridgeFacts
		port   InterfaceFacts
		policy *Policy
		want   PortChange
	}{
		"no spanning tree":        {policy: checked},
		"STP":                     {BridgeFacts{STP: true}, InterfaceFacts{}, checked, PortChange{Close: []string{"stp-enable"}, Closed: "stp-enable"}},
		"both":                    {BridgeFacts{STP: true, RSTP: true}, InterfaceFacts{}, &Policy{Mode: Blocked}, PortChange{Close: []string{"stp-enable", "rstp-enable"}, Closed: "rstp-enable,stp-enable"}},
		"the Port says yes":       {BridgeFacts{STP: true}, InterfaceFacts{STP: "true"}, checked, PortChange{}},
		"the Port says no":        {BridgeFacts{STP: true}, InterfaceFacts{STP: "false"}, checked, PortChange{}},
		"one more":                {BridgeFacts{STP: true, RSTP: true}, InterfaceFacts{STP: "false", Closed: "stp-enable"}, checked, PortChange{Close: []string{"rstp-enable"}, Closed: "rstp-enable,stp-enable"}},
		"nothing is checked":      {BridgeFacts{STP: true}, InterfaceFacts{}, off, PortChange{}},
		"nothing is checked now":  {BridgeFacts{STP: true}, InterfaceFacts{STP: "false", Closed: "stp-enable"}, off, PortChange{GiveBack: []string{"stp-enable"}}},
		"somebody changed it":     {BridgeFacts{STP: true}, InterfaceFacts{STP: "true", Closed: "stp-enable"}, off, PortChange{}},
		"what isn't ours to give": {BridgeFacts{STP: true}, InterfaceFacts{STP: "false", Closed: "tag"}, off, PortChange{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := ClosePort(&Bridge{Facts: test.bridge}, &Interface{Facts: test.port}, test.policy)
			if got.Empty() != (len(test.want.Close)+len(test.want.GiveBack) == 0) {
				t.Errorf("Empty: %t", got.Empty())
			}
			got.Closed = map[bool]string{true: "", false: got.Closed}[got.Empty()]
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
