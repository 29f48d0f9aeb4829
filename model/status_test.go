package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatus(t *testing.T) {
	bridge := &Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")}
	tests := []struct {
		name    string
		ids     map[string]string
		pending bool
		set     map[string]string
		del     []string
	}{
		{name: "enforced", ids: ids(KeyAttachedMAC, ownMAC), set: ids(KeyStatusState, "enforced", KeyStatusChecks, "mac")},
		{name: "observed", ids: ids(KeyAttachedMAC, ownMAC, KeyAction, "observe"), set: ids(KeyStatusState, "observed", KeyStatusChecks, "mac")},
		{name: "off", ids: ids(KeyAttachedMAC, ownMAC, KeyChecks, "off"), set: ids(KeyStatusState, "off")},
		{name: "blocked", ids: ids(KeyAttachedMAC, ownMAC, KeyChecks, "block"), set: ids(KeyStatusState, "blocked")},
		{name: "nothing changed", ids: ids(KeyAttachedMAC, ownMAC, KeyStatusState, "enforced", KeyStatusChecks, "mac")},
		{name: "only what changed", ids: ids(KeyAttachedMAC, ownMAC, KeyChecks, "mac,arp", KeyStatusState, "enforced", KeyStatusChecks, "mac"), set: ids(KeyStatusChecks, "mac,arp")},
		{name: "error goes", ids: ids(KeyAttachedMAC, ownMAC, KeyStatusState, "enforced", KeyStatusChecks, "mac", KeyStatusError, "x"), del: []string{KeyStatusError}},
		{name: "seq", ids: ids(KeyAttachedMAC, ownMAC, KeySeq, "7", KeyStatusState, "enforced", KeyStatusChecks, "mac", KeyStatusSeq, "6"), set: ids(KeyStatusSeq, "7")},
		{name: "empty seq", ids: ids(KeyAttachedMAC, ownMAC, KeySeq, "", KeyStatusState, "enforced", KeyStatusChecks, "mac"), set: ids(KeyStatusSeq, "")},
		{name: "seq for this VIF", ids: ids(KeyAttachedMAC, ownMAC, KeyFor, ownMAC, KeySeq, "7", KeyStatusState, "enforced", KeyStatusChecks, "mac"), set: ids(KeyStatusSeq, "7")},
		{name: "seq for another VIF", ids: ids(KeyAttachedMAC, ownMAC, KeyFor, "52:54:00:00:00:99", KeySeq, "7", KeyStatusState, "enforced", KeyStatusChecks, "mac", KeyStatusSeq, "6"),
			set: ids(KeyStatusError, `port-security-for: "52:54:00:00:00:99" isn't the attached-mac (want `+ownMAC+`); the keys were written for another VIF, and none but attached-mac counts`), del: []string{KeyStatusSeq}},
		{name: "seq removed", ids: ids(KeyAttachedMAC, ownMAC, KeyStatusState, "enforced", KeyStatusChecks, "mac", KeyStatusSeq, "6"), del: []string{KeyStatusSeq}},
		{name: "the last quarantine stays", ids: ids(KeyAttachedMAC, ownMAC, KeyFlood, "9", KeyStatusState, "enforced", KeyStatusChecks, "mac", KeyStatusFlood, "then")},
		{name: "the last quarantine stays with a pending port", pending: true, ids: ids(KeyAttachedMAC, ownMAC, KeyFlood, "9", KeyStatusState, "pending", KeyStatusFlood, "then")},
		{name: "the last quarantine goes with the limit", ids: ids(KeyAttachedMAC, ownMAC, KeyFlood, "off", KeyStatusState, "enforced", KeyStatusChecks, "mac", KeyStatusFlood, "then"), del: []string{KeyStatusFlood}},
		{name: "pending keeps the old seq", pending: true, ids: ids(KeyAttachedMAC, ownMAC, KeySeq, "7", KeyStatusSeq, "6"), set: ids(KeyStatusState, "pending")},
		{name: "pending has no seq of its own", pending: true, ids: ids(KeyAttachedMAC, ownMAC, KeySeq, "7"), set: ids(KeyStatusState, "pending")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := ResolveBridge(bridge)
			row := &Interface{ExternalIDs: test.ids}
			p := Resolve(&c, nil, row)
			status := StatusOf(&p, row, nil)
			if test.pending {
				status = PendingStatus(&p, row, nil)
			}
			set, del := status.Changes(row)
			if diff := cmp.Diff(test.set, set); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.del, del); diff != "" {
				t.Errorf("delete (-want +got):\n%s", diff)
			}
		})
	}
}
