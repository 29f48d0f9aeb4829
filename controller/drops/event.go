package drops

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

// VIF says whose frame it was. Its JSON, like that of all types here, is stable.
type VIF struct {
	Bridge string `json:"bridge"`
	Port   string `json:"port"`              // name of the Interface
	UUID   string `json:"uuid,omitempty"`    // of the Interface row; empty for a port without one
	VM     string `json:"vm,omitempty"`      // as the orchestrator identifies it
	VMName string `json:"vm_name,omitempty"` // as people call it
}

// Sample is one refused frame.
type Sample struct {
	VIF    VIF
	Reason string // as counted
	Passed bool   // with action observe: the frame would have been dropped
	EthDst model.MAC
	Claim  frame.Claim
	Frame  string // what the frame says, in words
}

// NewSample reads a frame. The bytes are a guest's: it works for any.
func NewSample(vif VIF, reason string, passed bool, bytes []byte) Sample {
	f := frame.Parse(bytes)
	return Sample{VIF: vif, Reason: reason, Passed: passed, EthDst: f.Dst, Claim: f.Claim(), Frame: f.String()}
}

// Event is one line: a refused frame, or how many more of its kind there were.
type Event struct {
	Time time.Time `json:"time"`
	VIF
	Reason string      `json:"reason"`
	Passed bool        `json:"passed"` // with action observe: it would have been dropped
	EthDst model.MAC   `json:"eth_dst,omitzero"`
	Claim  frame.Claim `json:"claim,omitzero"`
	Frame  string      `json:"frame,omitempty"` // what the frame says, in words; a sum of what wasn't sampled has none
	More   *More       `json:"more,omitempty"`  // the frame stands for these, as the last of them that was sampled
}

// More counts frames that have no line of their own.
type More struct {
	Packets uint64 `json:"packets"`
	Exact   bool   `json:"exact"`   // counted by the switch; otherwise only the samples are counted, and there may be more
	Seconds int    `json:"seconds"` // in which they came
	Claims  int    `json:"claims"`  // different claims among the samples since the flood began, at most 64
}

func (s *Sample) event(now time.Time) Event {
	return Event{Time: now.UTC(), VIF: s.VIF, Reason: s.Reason, Passed: s.Passed, EthDst: s.EthDst, Claim: s.Claim, Frame: s.Frame}
}

// String writes the event in one line of printable characters.
func (e *Event) String() string {
	return e.Time.UTC().Format(time.RFC3339) + " " + e.where() + " " + e.Text()
}

// where names the port and its VM. The names are the orchestrator's, so they are
// quoted if they wouldn't stay in one word.
func (e *Event) where() string {
	s := word(e.Bridge) + " " + word(e.Port)
	if vm := e.VMName; vm != "" {
		return s + " vm=" + word(vm)
	}
	if e.VM != "" {
		s += " vm=" + word(e.VM)
	}
	return s
}

// Text says what happened, without time and place.
func (e *Event) Text() string {
	verb := "dropped"
	if e.Passed {
		verb = "would drop"
	}
	if e.Frame == "" && e.More != nil {
		return fmt.Sprintf("%s %s: ... %s, none of them sampled", verb, e.Reason, e.More)
	}
	text := fmt.Sprintf("%s, eth %s > %s type %s", e.Frame, e.Claim.EthSrc, e.EthDst, e.Claim.EtherType)
	if e.Claim.VLANs != "" {
		text += " vlan " + e.Claim.VLANs
	}
	if e.More != nil {
		return fmt.Sprintf("%s %s: ... %s; the last: %s", verb, e.Reason, e.More, text)
	}
	return fmt.Sprintf("%s %s: %s", verb, e.Reason, text)
}

func (m *More) String() string {
	s := fmt.Sprintf("%s more in %d s", grouped(m.Packets), m.Seconds)
	if !m.Exact {
		s = "at least " + s + " (samples only)"
	}
	if m.Claims > 1 {
		s += fmt.Sprintf(", %d claims", m.Claims)
	}
	return s
}

// grouped writes a number with a comma between thousands.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func word(s string) string {
	if q := strconv.QuoteToASCII(s); q != `"`+s+`"` || strings.ContainsAny(s, " ") || s == "" {
		return q
	}
	return s
}
