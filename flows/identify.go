package flows

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// MatchID is a match in a notation that doesn't depend on who wrote it: the text of a
// rule and what Open vSwitch prints of the flow have the same.
type MatchID string

// keywords are the shorthands of ovs-ofctl(8) for prerequisites.
var keywords = map[string][]string{
	"arp":   {"dl_type=0x0806"},
	"rarp":  {"dl_type=0x8035"},
	"ip":    {"dl_type=0x0800"},
	"ipv6":  {"dl_type=0x86dd"},
	"tcp6":  {"dl_type=0x86dd", "nw_proto=6"},
	"icmp":  {"dl_type=0x0800", "nw_proto=1"},
	"udp":   {"dl_type=0x0800", "nw_proto=17"},
	"udp6":  {"dl_type=0x86dd", "nw_proto=17"},
	"icmp6": {"dl_type=0x86dd", "nw_proto=58"},
}

// aliases are other names of fields (ovs-fields(7)).
var aliases = map[string]string{
	"nw_frag": "ip_frag", "icmp_type": "icmpv6_type", "icmp_code": "icmpv6_code",
	"tp_src": "udp_src", "tp_dst": "udp_dst", "vlan_tci": "vlan_vid",
}

// IdentifyMatch returns the identity of a match written as in "ovs-ofctl dump-flows"
// or [Rule.MatchText].
func IdentifyMatch(text string) MatchID {
	var fields []string
	for _, word := range strings.Split(text, ",") {
		word = strings.TrimSpace(word)
		name, value, ok := strings.Cut(word, "=")
		switch expansion := keywords[word]; {
		case word == "":
		case expansion != nil:
			fields = append(fields, expansion...)
		case !ok:
			fields = append(fields, word)
		case name == "dl_vlan": // a tag with exactly this VID
			n, _ := strconv.ParseUint(value, 0, 12)
			fields = append(fields, fmt.Sprintf("vlan_vid=%d", vlanPresent|n))
		default:
			if alias, ok := aliases[name]; ok {
				name = alias
			}
			fields = append(fields, name+"="+value)
		}
	}
	for i, f := range fields {
		if name, value, ok := strings.Cut(f, "="); ok {
			fields[i] = name + "=" + identifyValue(value)
		}
	}
	slices.Sort(fields)
	return MatchID(strings.Join(slices.Compact(fields), ","))
}

// identifyValue writes the numbers of a value, masked or not, in decimal.
func identifyValue(v string) string {
	if v == "LOCAL" {
		return "4294967294" // OFPP_LOCAL
	}
	value, mask, masked := strings.Cut(v, "/")
	n, err := strconv.ParseUint(value, 0, 64)
	if err != nil {
		return v // an address or a word
	}
	if !masked {
		return strconv.FormatUint(n, 10)
	}
	m, err := strconv.ParseUint(mask, 0, 64)
	if err != nil {
		return v
	}
	return strconv.FormatUint(n, 10) + "/" + strconv.FormatUint(m, 10)
}

// Step is one flow that a packet met.
type Step struct {
	Table    uint8
	Priority uint32 // beyond 65535, where those of OpenFlow end, the flow is a hidden one of Open vSwitch's own
	Cookie   uint64
	Match    MatchID
	Actions  []string // one an action, and what Open vSwitch remarks about it
	NoMatch  bool     // no flow of the table matched
}

// tracedStep is a step as "ofproto/trace" prints it.
type tracedStep struct {
	Step
	column int // in which its table number ends
	most   int // it asks whether the packet is longer than that; 0 when it doesn't
}

// ParseTrace reads the steps of "ofproto/trace" (ovs-vswitchd(8)) for a packet that is
// length bytes long. What it can't read it leaves out; the order is that of the packet's
// way.
func ParseTrace(output string, length int) []Step {
	var all []tracedStep
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		if s, ok := parseStep(line); ok {
			all = append(all, tracedStep{Step: s, column: strings.Index(line, ". ")})
			continue
		}
		action := strings.TrimLeft(line, " ")
		indent := len(line) - len(action)
		if len(all) == 0 || indent < 4 || indent < all[len(all)-1].column {
			continue // a heading, or one step's actions once more
		}
		last := &all[len(all)-1]
		last.Actions = append(last.Actions, strings.TrimSpace(action))
		if most, ok := parseLarger(action); ok {
			last.most = most
		}
	}
	return way(all, length)
}

// way picks the steps that a packet takes. Behind a step that asks for the length, the
// switch shows first the way of longer packets, indented, and then that of others.
func way(all []tracedStep, length int) []Step {
	var steps []Step
	for i := 0; i < len(all); i++ {
		s := &all[i]
		steps = append(steps, s.Step)
		if s.most == 0 {
			continue
		}
		others := i + 1
		for others < len(all) && all[others].column > s.column+2 { // a table can have up to 3 digits
			others++
		}
		if length > s.most {
			return append(steps, way(all[i+1:others], length)...)
		}
		i = others - 1
	}
	return steps
}

// parseLarger reads an action such as "check_pkt_larger(85)->NXM_NX_REG15[7]".
func parseLarger(action string) (most int, ok bool) {
	text, _, ok := strings.Cut(strings.TrimPrefix(action, "check_pkt_larger("), ")->")
	if !ok || text == action {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err == nil
}

// parseStep reads a line such as " 2. arp,in_port=1, priority 40400, cookie 0x1".
func parseStep(line string) (Step, bool) {
	number, rest, ok := strings.Cut(strings.TrimLeft(line, " "), ". ")
	table, err := strconv.ParseUint(number, 10, 8)
	if !ok || err != nil {
		return Step{}, false
	}
	s := Step{Table: uint8(table)}
	if strings.HasPrefix(rest, "No match") {
		s.NoMatch = true
		return s, true
	}
	i := strings.LastIndex(rest, "priority ")
	if i < 0 {
		return Step{}, false
	}
	priority, cookie, _ := strings.Cut(rest[i+len("priority "):], ", cookie ")
	p, err := strconv.ParseUint(priority, 10, 32)
	if err != nil {
		return Step{}, false
	}
	s.Priority = uint32(p)
	s.Cookie, _ = strconv.ParseUint(cookie, 0, 64)
	s.Match = IdentifyMatch(rest[:i])
	return s, true
}

// IsHidden reports whether no OpenFlow dump shows the flow: Open vSwitch itself puts such
// above all others (in-band.c, fail-open.h).
func (s *Step) IsHidden() bool { return s.Priority > math.MaxUint16 }

// IsRule reports whether the step is a flow that the rule means.
func (s *Step) IsRule(r *Rule, p Pipeline) bool {
	return !s.NoMatch && s.Table == p.Table(r.Stage) && s.Priority == uint32(r.Priority) &&
		s.Cookie == r.Cookie() && s.Match == IdentifyMatch(r.MatchText())
}
