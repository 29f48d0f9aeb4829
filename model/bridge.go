package model

import (
	"slices"
	"strconv"
	"strings"
)

// Tables that the pipeline needs, and the highest number OpenFlow flows may use:
// Open vSwitch keeps table 254 for itself.
const (
	PipelineTables = 7
	maxTable       = 253
)

// BridgeConfig is what a bridge's own metadata asks for: the outcome of
// [ResolveBridge].
type BridgeConfig struct {
	Settings
	Guarded  bool     // the bridge opted in
	Usable   bool     // the switch can be programmed; false leaves its flows as they are
	Problems Problems // metadata that couldn't be used
}

// Settings are what a bridge sets for its ports and its tables. They are comparable, so
// that two equal ones lead to the same flows.
type Settings struct {
	Name          string // of the bridge
	Default       Checks // default of its VIFs
	Action        Action // default of its VIFs
	ActionSet     bool   // Action was asked for; without, it is Enforce
	Flood         Flood  // default of its VIFs
	FloodSet      bool   // Flood was asked for; without, it is off
	UnmarkedBlock bool   // ports without any VIF key are blocked
	FirstTable    uint8  // table of the first stage
	ExitTable     int    // accepted packets are resubmitted there; -1 means NORMAL
}

// notProgrammed is what follows from what makes a bridge unusable.
const notProgrammed = "nothing is programmed"

// openFlow13 is the word of the protocols column that the agent needs.
const openFlow13 = "OpenFlow13"

// ResolveBridge reads a bridge's own metadata. A wrong table number makes the bridge
// unusable instead of guessing one: the operator's own flows are in the others.
func ResolveBridge(b *Bridge) BridgeConfig {
	c := BridgeConfig{Settings: Settings{Name: b.Name, ExitTable: -1}, Usable: true}
	value, ok := b.ExternalIDs[KeyChecks]
	if !ok || strings.TrimSpace(value) == "off" {
		return c
	}
	c.Guarded = true
	c.Default = parseChecks(KeyChecks, value, &c.Problems)
	if v, ok := b.ExternalIDs[KeyAction]; ok {
		c.Action, c.ActionSet = parseAction(KeyAction, v, &c.Problems), true
	}
	if v, ok := b.ExternalIDs[KeyFlood]; ok {
		c.Flood, c.FloodSet = parseFlood(KeyFlood, v, &c.Problems), true
	}
	if v, ok := b.ExternalIDs[KeyUnmarked]; ok {
		c.UnmarkedBlock = v == "block"
		if v != "block" && v != "trust" {
			c.Problems.addInstead(KeyUnmarked, v, "trust is used", "is not valid (want block or trust)")
		}
	}
	if v, ok := b.ExternalIDs[KeyFirstTable]; ok {
		n, err := strconv.ParseUint(v, 10, 8)
		if err != nil || n > maxTable-PipelineTables+1 {
			c.Usable = false
			c.Problems.addInstead(KeyFirstTable, v, notProgrammed, "is not valid (want a number from 0 to %d)", maxTable-PipelineTables+1)
		}
		c.FirstTable = uint8(n)
	}
	if v, ok := b.ExternalIDs[KeyExitTable]; ok && c.Usable {
		n, err := strconv.ParseUint(v, 10, 8)
		inside := n >= uint64(c.FirstTable) && n < uint64(c.FirstTable)+PipelineTables
		if err != nil || n > maxTable || inside {
			c.Usable = false
			c.Problems.addInstead(KeyExitTable, v, notProgrammed, "is not valid (want a number from 0 to %d outside the stages' tables %d to %d)",
				maxTable, c.FirstTable, c.FirstTable+PipelineTables-1)
		}
		c.ExitTable = int(n)
	}
	if len(b.Protocols) > 0 && !slices.Contains(b.Protocols, openFlow13) {
		c.Usable = false
		c.Problems.add("protocols", strings.Join(b.Protocols, ","), "excludes %s, which vifguard speaks; nothing is programmed (add it with: ovs-vsctl add bridge %s protocols %s)", openFlow13, b.Name, openFlow13)
	}
	return c
}
