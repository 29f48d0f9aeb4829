package model

import (
	"maps"
	"testing"
)

// What the agent writes itself makes a new row, but asks for nothing new.
func TestSameInput(t *testing.T) {
	base := Interface{UUID: "u", Name: "tap1", Port: "tap1", OFPort: 3, ExternalIDs: map[string]string{
		KeyAttachedMAC: "52:54:00:00:00:01", KeyStatusState: "enforced", "vm-id": "x"}}
	for _, test := range []struct {
		name   string
		change func(*Interface)
		want   bool
	}{
		{"nothing", func(*Interface) {}, true},
		{"state", func(i *Interface) { i.ExternalIDs[KeyStatusState] = "blocked" }, true},
		{"status keys added", func(i *Interface) { i.ExternalIDs[KeyStatusSeq], i.ExternalIDs[KeyStatusError] = "1", "x" }, true},
		{"status key gone", func(i *Interface) { delete(i.ExternalIDs, KeyStatusState) }, true},
		{"MAC", func(i *Interface) { i.ExternalIDs[KeyAttachedMAC] = "52:54:00:00:00:02" }, false},
		{"key added", func(i *Interface) { i.ExternalIDs[KeySeq] = "" }, false},
		{"key gone", func(i *Interface) { delete(i.ExternalIDs, "vm-id") }, false},
		{"key in place of another", func(i *Interface) { delete(i.ExternalIDs, "vm-id"); i.ExternalIDs["vm-uuid"] = "x" }, false},
		{"port number", func(i *Interface) { i.OFPort = 4 }, false},
		{"name", func(i *Interface) { i.Name = "tap2" }, false},
		{"bond", func(i *Interface) { i.Port = "bond0" }, false},
		{"type", func(i *Interface) { i.Type = "internal" }, false},
	} {
		other := base
		other.ExternalIDs = maps.Clone(base.ExternalIDs)
		test.change(&other)
		if got := SameInput(&base, &other); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		if got := SameInput(&other, &base); got != test.want {
			t.Errorf("%s, the other way: %v", test.name, got)
		}
	}
}
