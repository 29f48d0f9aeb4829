package model

import "strings"

// Keys of Bridge.external_ids that remember what a bridge's settings were before "vifguard
// guard" closed them.
const (
	KeyFailModeThen = "vifguard-fail-mode" // its fail_mode
	KeyInBandThen   = "vifguard-in-band"   // its other_config:disable-in-band
)

// Unset is what such a key says of a setting that had no value.
const Unset = "unset"

// ConfigInBand is the key of a Bridge's other_config that keeps Open vSwitch from adding
// hidden flows for its controllers and managers (ovs-vswitchd.conf.db(5)).
const ConfigInBand = "disable-in-band"

// FailSecure is the fail_mode of a bridge that forwards nothing without flows.
const FailSecure = "secure"

// NoInBand reports whether Open vSwitch adds no hidden flows for controllers and managers.
func (f *BridgeFacts) NoInBand() bool { return strings.EqualFold(f.DisableInBand, "true") }

// BridgeChange is what is to change of a Bridge row; the zero value is nothing.
type BridgeChange struct {
	FailMode      *string // nil to leave it, "" for none
	DisableInBand *string // other_config:disable-in-band, likewise
	Set           map[string]string
	Delete        []string // keys of external_ids, as those of Set
}

// settings are what guard closes beside the keys of the contract, and release gives back.
var settings = []struct {
	then   string // key that remembers what it was
	closed string
	secure bool // it is closed only when that is asked for
	of     func(*Bridge) string
	change func(*BridgeChange) **string
}{
	{KeyFailModeThen, FailSecure, true, func(b *Bridge) string { return b.FailMode }, func(c *BridgeChange) **string { return &c.FailMode }},
	{KeyInBandThen, "true", false, func(b *Bridge) string { return b.Facts.DisableInBand }, func(c *BridgeChange) **string { return &c.DisableInBand }},
}

// CloseBridge returns what closes a bridge against what decides beside its tables, as far as
// its own settings do, and remembers what they were: in-band control and, with secure, its
// fail_mode.
func CloseBridge(b *Bridge, secure bool) BridgeChange {
	c := BridgeChange{Set: make(map[string]string)}
	for i := range settings {
		s := &settings[i]
		was := s.of(b)
		if s.secure && !secure || strings.EqualFold(was, s.closed) {
			continue
		}
		if *s.change(&c) = &s.closed; was == "" {
			was = Unset
		}
		c.Set[s.then] = was
	}
	return c
}

// OpenBridge returns what gives a bridge back that vifguard stops guarding: the keys that it
// has written go, and what it closed and is still as it was closed becomes what it was.
func OpenBridge(b *Bridge) BridgeChange {
	var c BridgeChange
	if _, ok := b.ExternalIDs[KeyUnguarded]; ok {
		c.Delete = append(c.Delete, KeyUnguarded)
	}
	for i := range settings {
		s := &settings[i]
		was, ok := b.ExternalIDs[s.then]
		if !ok {
			continue
		}
		c.Delete = append(c.Delete, s.then)
		if was == Unset {
			was = ""
		}
		if s.of(b) == s.closed && was != s.closed {
			*s.change(&c) = &was
		}
	}
	return c
}
