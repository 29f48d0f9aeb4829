package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever a bridge's settings were, they are the same after it was closed and given back,
// unless somebody has changed them meanwhile.
func TestCloseAndOpenBridge(t *testing.T) {
	apply := func(b *Bridge, c BridgeChange) {
		for _, k := range c.Delete {
			delete(b.ExternalIDs, k)
		}
		for k, v := range c.Set {
			b.ExternalIDs[k] = v
		}
		if c.FailMode != nil {
			b.FailMode = *c.FailMode
		}
		if c.DisableInBand != nil {
			b.Facts.DisableInBand = *c.DisableInBand
		}
	}
	for _, mode := range []string{"", "standalone", "secure"} {
		for _, inBand := range []string{"", "false", "true", "TRUE", "odd"} {
			for _, secure := range []bool{false, true} {
				before := Bridge{ExternalIDs: map[string]string{"other": "1"}, FailMode: mode, Facts: BridgeFacts{DisableInBand: inBand}}
				b := Bridge{ExternalIDs: map[string]string{"other": "1"}, FailMode: mode, Facts: BridgeFacts{DisableInBand: inBand}}
				apply(&b, CloseBridge(&b, secure))
				if !b.Facts.NoInBand() || (b.FailMode == FailSecure) != (secure || mode == FailSecure) {
					t.Errorf("fail_mode %q, disable-in-band %q, secure %v: closed as %q, %q", mode, inBand, secure, b.FailMode, b.Facts.DisableInBand)
				}
				if again := CloseBridge(&b, secure); again.FailMode != nil || again.DisableInBand != nil || len(again.Set) != 0 {
					t.Errorf("closed twice: %+v", again)
				}
				b.ExternalIDs[KeyUnguarded] = "1s"
				apply(&b, OpenBridge(&b))
				if diff := cmp.Diff(before, b); diff != "" {
					t.Errorf("secure %v, given back (-before +after):\n%s", secure, diff)
				}
			}
		}
	}
	b := Bridge{ExternalIDs: map[string]string{KeyFailModeThen: Unset, KeyInBandThen: Unset}, FailMode: "standalone", Facts: BridgeFacts{DisableInBand: "false"}}
	want := BridgeChange{Delete: []string{KeyFailModeThen, KeyInBandThen}}
	if diff := cmp.Diff(want, OpenBridge(&b)); diff != "" {
		t.Errorf("somebody has changed it meanwhile (-want +got):\n%s", diff)
	}
}
