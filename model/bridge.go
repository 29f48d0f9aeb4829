package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tables that the pipeline needs, and the highest number OpenFlow flows may use:
// Open vSwitch keeps table 254 for itself.
const (
	PipelineTables = 7
	maxTable       = 253
	maxFirstTable  = maxTable - PipelineTables + 1
)

// BridgeConfig is what a bridge's own metadata asks for: the outcome of
// [ResolveBridge]. It isn't changed afterwards.
type BridgeConfig struct {
	Settings
	Guarded  bool     // the bridge opted in
	Usable   bool     // the switch can be programmed; false leaves its flows as they are
	Problems Problems // metadata that couldn't be used

	defaults []bridgeDefault // in the order of the keys
}

// Settings are what a bridge sets for its ports and its tables. They are comparable, so
// that two equal ones lead to the same flows.
type Settings struct {
	Name          string // of the bridge
	UnmarkedBlock bool   // ports without any VIF key are blocked
	FirstTable    uint8  // table of the first stage
	ExitTable     int    // accepted packets are resubmitted there; -1 means NORMAL
	given         string // all its keys and their values, so that none is forgotten in a comparison
}

// bridgeDefault is what a bridge gives for its VIFs.
type bridgeDefault struct {
	key   int // index in keys
	value string
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
	for n := range keys {
		if keys[n].Is(OnBridge) {
			c.take(n, b.ExternalIDs)
		}
	}
	if len(b.Protocols) > 0 && !slices.Contains(b.Protocols, openFlow13) {
		c.Usable = false
		c.Problems.add("protocols", strings.Join(b.Protocols, ","), "excludes %s, which vifguard speaks; nothing is programmed (add it with: ovs-vsctl add bridge %s protocols %s)", openFlow13, b.Name, openFlow13)
	}
	return c
}

// take reads a key of the bridge. What is wrong with a default of its VIFs is reported
// here, once; each VIF parses it again.
func (c *BridgeConfig) take(n int, ids map[string]string) {
	k := &keys[n]
	name, value, ok := k.in(ids)
	if !ok {
		return
	}
	c.given += fmt.Sprintf("%s=%q ", k.Name, value)
	if k.parseBridge != nil {
		k.parseBridge(c, value)
		return
	}
	k.parse(new(Policy), name, value, &c.Problems)
	c.defaults = append(c.defaults, bridgeDefault{n, value})
}

// unmarkedWords are the values of port-security-unmarked.
var unmarkedWords = []string{"trust", "block"}

func (c *BridgeConfig) parseUnmarked(v string) {
	c.UnmarkedBlock = v != "trust"
	if v != "block" && v != "trust" {
		c.Problems.addInstead(KeyUnmarked, v, "block is used", "is not valid (want block or trust)")
	}
}

func (c *BridgeConfig) parseFirstTable(v string) {
	n, err := strconv.ParseUint(v, 10, 8)
	if err != nil || n > maxFirstTable {
		c.Usable = false
		c.Problems.addInstead(KeyFirstTable, v, notProgrammed, "is not valid (want a number from 0 to %d)", maxFirstTable)
	}
	c.FirstTable = uint8(n)
}

// parseExitTable comes after parseFirstTable, whose table it depends on.
func (c *BridgeConfig) parseExitTable(v string) {
	if !c.Usable {
		return
	}
	n, err := strconv.ParseUint(v, 10, 8)
	inside := n >= uint64(c.FirstTable) && n < uint64(c.FirstTable)+PipelineTables
	if err != nil || n > maxTable || inside {
		c.Usable = false
		c.Problems.addInstead(KeyExitTable, v, notProgrammed, "is not valid (want a number from 0 to %d outside the stages' tables %d to %d)",
			maxTable, c.FirstTable, c.FirstTable+PipelineTables-1)
	}
	c.ExitTable = int(n)
}
