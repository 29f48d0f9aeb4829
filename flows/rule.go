package flows

import (
	"math"

	"github.com/vifguard/vifguard/model"
)

// Stage is a table of the pipeline, counted from the bridge's first table.
type Stage uint8

// The stages in the order in which a packet visits them.
const (
	StagePort Stage = iota // classify: trusted, VIF, blocked
	StageMAC               // Ethernet source and VLAN tags
	StageARP               // sender MACs inside ARP and RARP; ARP claims; ethertypes
	StageND                // sender MACs inside ND; ND claims; router guard
	StageIP                // DHCP server guard; IP sources
	StageDrop              // counts by VIF and reason; lets observed packets on
	StageExit              // accepted packets leave the pipeline
	numStages
)

// Outside is the stage of flows that are in none.
const Outside Stage = math.MaxUint8

// The model, which can't import this package, keeps room for as many tables as there are
// stages: otherwise one of these is negative, and doesn't compile.
const (
	_ = uint(model.PipelineTables - numStages)
	_ = uint(numStages - model.PipelineTables)
)

// StageInfo describes a stage to a reader.
type StageInfo struct {
	Stage   Stage
	Name    string
	Purpose string
	Miss    string // what happens to a packet that no rule of a VIF lets on
}

// Stages returns the pipeline's tables in order.
func Stages() []StageInfo {
	return []StageInfo{
		{StagePort, "port", "classifies the port: trusted and unchecked ports go to exit, blocked and quarantined ones to drop, checked VIFs load their flags and go on", "drop, unknown-port"},
		{StageMAC, "mac", "the Ethernet source is one of the VIF's MACs; VLAN tags are refused unless lifted", "drop, mac"},
		{StageARP, "arp", "sender MACs inside ARP and RARP are the VIF's; ARP speaks only for its bindings; ethertype guard; IP that can't be read is refused. Everything but neighbour discovery of VIFs with mac alone leaves here", "drop, mac (arp once the sender MAC is known to be the VIF's, ethertype for other protocols)"},
		{StageND, "nd", "link-layer options of neighbour discovery are the VIF's; it speaks only for the VIF's bindings; router guard. Only the messages that are judged here visit it, solicitations and advertisements twice: first with their options, then with their length and their claims", "drop, mac (nd once the options are known to be good)"},
		{StageIP, "ip", "the source is one of the VIF's bindings; DHCP server guard; router guard of IPv4. Also judges the source of ND for VIFs without ip", "drop, ip (nd for neighbour discovery)"},
		{StageDrop, "drop", "counts refused packets by VIF and reason, and drops them; packets of observed VIFs go on to exit", "drop"},
		{StageExit, "exit", "hands accepted packets to NORMAL, or to port-security-exit-table", "drop"},
	}
}

func (s Stage) String() string {
	if s < numStages {
		return Stages()[s].Name
	}
	return "outside"
}

// Priority bands, the same in every stage. They lie above 32768, the default of
// ovs-ofctl, so that a flow that somebody adds to table 0 without a priority doesn't
// take precedence over the guard.
const (
	prioPlain     = 40800 // packets that a stage has nothing to ask of, first because most are
	prioGuard     = 40700 // refuses what no binding may allow
	prioException = 40600 // lets through what needs no binding
	prioRefuse    = 40500 // refuses what the bindings would let through
	prioAllow     = 40400 // lets through what a binding allows
	prioBlame     = 40300 // names the reason for what no binding allowed
	prioClass     = 40200 // hands a class of packets to the stage that judges it
	prioRest      = 40100 // the packets of no class
	prioMiss      = 40000 // everything; above 0, which is left to the bridge's own NORMAL
)

// Next says where a packet goes after a rule.
type Next uint8

// The ways on. The zero value drops.
const (
	Drop  Next = iota
	Goto       // to Actions.Stage, which comes later
	Again      // through Actions.Stage, with what was loaded
	Leave      // NORMAL, or the bridge's exit table
)

// Actions is what a rule does: first it loads, then it measures, then it sends the packet
// on.
type Actions struct {
	Load  *uint32      // replaces the whole register
	Blame model.Reason // replaces the blame; NoReason leaves it
	Set   Flags        // sets these flags
	// Longer sets FlagLong for a frame of more than so many bytes, Ethernet header included,
	// and clears it for others; 0 asks nothing. Where the datapath can, it measures each
	// frame itself, however wide the megaflow. A VLAN tag counts, except where the kernel
	// has taken it off. For the switch every such frame takes both ways: what must be
	// counted for long ones alone begins with Afresh.
	Longer uint16
	// Afresh ends the megaflow: packets that come here look up the rest of their way in one
	// of its own, and so only they are counted by the rules on it.
	Afresh bool
	// Singly has ovs-vswitchd judge each of these packets by itself, as it reads it, instead
	// of having the datapath forward what looks alike to it. It is for solicitations without
	// a source link-layer option that can't be told by their length from those with one.
	Singly bool
	Sample *Sample // also sends the packet to the agent; nil for not
	Next   Next
	Stage  Stage
}

// BlameAfter returns the blame of a packet after the actions, given the one before.
func (a *Actions) BlameAfter(before model.Reason) model.Reason {
	switch {
	case a.Blame != model.NoReason:
		return a.Blame
	case a.Load != nil:
		return model.Reason(*a.Load & blameMask >> blameShift)
	}
	return before
}

// Rule is one OpenFlow flow, independent of where the bridge's pipeline starts.
type Rule struct {
	Stage    Stage
	Priority uint16
	Match    Match
	Actions  Actions
	VIF      VIFID        // whose flow it is; 0 for shared ones
	Counts   model.Reason // the drop reason that its packet counter counts
	Timeout  uint16       // seconds after which the switch deletes it, whatever happens; 0 for never
	Why      string       // what it is for, in words
}

// Cookie returns the rule's cookie.
func (r *Rule) Cookie() uint64 { return NewCookie(r.VIF, r.Counts) }

// Pipeline is where the stages lie on one bridge.
type Pipeline struct {
	First uint8 // table of the first stage
	Exit  int   // table that accepted packets are resubmitted to; -1 for NORMAL
}

// PipelineOf returns where the stages lie on a bridge with these settings.
func PipelineOf(s *model.Settings) Pipeline {
	return Pipeline{First: s.FirstTable, Exit: s.ExitTable}
}

// Table returns the OpenFlow table of a stage.
func (p Pipeline) Table(s Stage) uint8 { return p.First + uint8(s) }

func goTo(s Stage) Actions                    { return Actions{Next: Goto, Stage: s} }
func blame(r model.Reason) Actions            { return Actions{Blame: r, Next: Goto, Stage: StageDrop} }
func blameIn(r model.Reason, s Stage) Actions { return Actions{Blame: r, Next: Goto, Stage: s} }
func load(v uint32, s Stage) Actions          { return Actions{Load: &v, Next: Goto, Stage: s} }

// Tables returns the tables of all stages, in order.
func (p Pipeline) Tables() []uint8 {
	tables := make([]uint8, numStages)
	for s := range numStages {
		tables[s] = p.Table(s)
	}
	return tables
}

// Shadows reports whether a flow of somebody else with this key can take precedence
// over a stage: it lies in one of the pipeline's tables, not below its rules.
func (p Pipeline) Shadows(k Key) bool {
	return k.Table >= p.First && k.Table < p.First+uint8(numStages) && k.Priority >= prioMiss
}
