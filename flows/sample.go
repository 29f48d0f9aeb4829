package flows

import (
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// Sample makes a rule send the packets that it counts to the agent too, as many as a
// meter lets through. What becomes of the packets doesn't change.
type Sample struct {
	Meter  uint32
	Passed bool // the rule lets the packet on
}

const (
	// SampleController is the controller id of samples, "vg": only sessions that ask
	// for it receive them.
	SampleController = 0x7667

	// SampleLen is how many bytes of a packet a sample has: enough for two VLAN tags,
	// IPv6 with extension headers, and neighbour discovery with its options.
	SampleLen = 256

	// meterPrefix starts the meter numbers of vifguard. The lower half is the OpenFlow
	// port number, as a bridge has it only once; 0 is that of ports that aren't
	// programmed yet. All meters are alike, so a number that passes to another port
	// with its meter harms nobody.
	meterPrefix uint32 = SampleController << 16
	meterMask   uint32 = 0xffff << 16
)

// IsSampleMeter reports whether a meter's number is one of vifguard's.
func IsSampleMeter(id uint32) bool { return id&meterMask == meterPrefix }

// SampleMeter returns the number of a port's meter.
func SampleMeter(inPort uint32) uint32 { return meterPrefix | inPort&^meterMask }

// Sampled returns the rules with samples of what they count. Their number and their
// matches are the same.
func Sampled(rules []Rule) []Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		if r := &rules[i]; r.Counts != model.NoReason {
			r.Actions.Sample = &Sample{Meter: SampleMeter(r.Match.InPort), Passed: r.Actions.Next != Drop}
		}
	}
	return rules
}

// text writes the action in the syntax of ovs-ofctl(8).
func (s *Sample) text() string {
	userdata := ""
	if s.Passed {
		userdata = ",userdata=01"
	}
	return fmt.Sprintf("controller(max_len=%d,id=%d%s,meter_id=%d)", SampleLen, SampleController, userdata, s.Meter)
}
