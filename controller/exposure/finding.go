package exposure

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is the stable word for a way around the tables.
type Kind string

// The kinds of findings.
const (
	InBand      Kind = "in-band"      // hidden flows of in-band control
	FailOpen    Kind = "fail-open"    // the bridge forwards all while its controller is away
	FailMode    Kind = "fail-mode"    // the bridge forwards all after a restart, until programmed
	NoWayIn     Kind = "no-way-in"    // flows in front of the first stage's table
	ForeignFlow Kind = "foreign-flow" // flows of others above the stages' own
	HiddenFlow  Kind = "hidden-flow"  // a flow that no OpenFlow dump shows, of an unknown kind
	Unreadable  Kind = "unreadable"   // it can't be told
	STP         Kind = "stp"          // protocols that Open vSwitch speaks before any table
	RSTP        Kind = "rstp"
	BFD         Kind = "bfd"
	CFM         Kind = "cfm"
	LACP        Kind = "lacp"
	LLDP        Kind = "lldp"
	Tunnel      Kind = "tunnel"       // guests can reach a tunnel's endpoint
	VLANLimit   Kind = "vlan-limit"   // Open vSwitch reads other than one VLAN tag
	IGMPQuerier Kind = "igmp-querier" // multicast snooping believes a guest's queries
	Mirror      Kind = "mirror"       // copies of frames are made before the tables
	Datapath    Kind = "datapath"     // what the datapath itself can't hold
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{InBand, FailOpen, FailMode, NoWayIn, ForeignFlow, HiddenFlow, Unreadable, STP, RSTP, BFD, CFM, LACP, LLDP,
		Tunnel, VLANLimit, IGMPQuerier, Mirror, Datapath}
}

// Severity says what a finding means for the state of the VIFs that it concerns.
type Severity uint8

// The severities.
const (
	Notice  Severity = iota // something to know; what a guest sends still goes through the stages only
	Exposed                 // frames pass around the stages, now or at a guest's wish, or it can't be told
)

func (s Severity) String() string { return [...]string{"notice", "exposed"}[s] }

// Finding is one way around the tables of a bridge.
type Finding struct {
	Kind     Kind
	Severity Severity
	All      bool     // every VIF of the bridge is concerned, those to come too
	Ports    []string // names of the interfaces that are concerned, sorted; nil if All
	Guest    string   // what a guest can do, in plain words; or what can't be told, and why
	Detail   string   // what was found: a target, a flow as ovs-ofctl writes it; "" for nothing to add
	Close    []string // commands, each of which is needed, and which together end it
	Guard    bool     // "vifguard guard BRIDGE" ends it, too
}

// Concerns reports whether the finding is about this interface.
func (f *Finding) Concerns(port string) bool {
	if f.All {
		return true
	}
	_, ok := slices.BinarySearch(f.Ports, port)
	return ok
}

// maxWords is the length of [Words] in bytes: it stands in a status key and in log lines.
const maxWords = 300

// Words is the one text about a finding, the same in the status, in every command and in
// the log: at most 300 bytes in one line.
func (f *Finding) Words() string {
	end := " (" + string(f.Kind)
	if len(f.Close) > 0 {
		end += "; close it: " + f.Close[0]
		if len(f.Close) > 1 {
			end += ", ..."
		}
	}
	end = clip(oneLine(end), maxWords*2/3) + ")"
	start := f.Severity.String() + ": "
	return start + clip(oneLine(f.Guest), maxWords-len(start)-len(end)) + end
}

// oneLine replaces what isn't printable: errors, flows and names may hold anything.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

// clip cuts a text to n bytes, between runes.
func clip(s string, n int) string {
	const more = "..."
	if len(s) <= n {
		return s
	}
	for n -= len(more); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n] + more
}

// Compare is the order of findings: the exposed ones first, then by kind, then whatever
// differs.
func Compare(a, b Finding) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.Guest, b.Guest), slices.Compare(a.Ports, b.Ports))
}

// Equal reports whether two lists of findings say the same.
func Equal(a, b []Finding) bool {
	return slices.EqualFunc(a, b, func(x, y Finding) bool {
		return Compare(x, y) == 0 && x.All == y.All && x.Guard == y.Guard && slices.Equal(x.Close, y.Close)
	})
}

// Of returns the finding that the state of a port is owed to, the first exposed one that
// concerns it, or nil.
func Of(list []Finding, port string) *Finding {
	for i := range list {
		if list[i].Severity == Exposed && list[i].Concerns(port) {
			return &list[i]
		}
	}
	return nil
}
