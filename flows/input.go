package flows

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// Input is everything that a port's rules depend on. Two inputs that are the same have the
// same rules, so whoever remembers rules needs no other comparison, and whoever explains
// what a switch has needs no other guess than that of the [Runtime].
type Input struct {
	model.Input
	Runtime
}

// Runtime is what a port's rules depend on beside its metadata: what an agent has found
// out while it ran. The zero value is what a new agent begins with.
type Runtime struct {
	// Sampled says that the rules that count send samples too.
	Sampled bool

	// Quarantine is for how many seconds at most nothing passes, because the VIF floods;
	// 0 when it isn't quarantined.
	Quarantine uint16

	// Contested says that another row of the bridge claims the same OpenFlow port, so that
	// nobody knows whose it is: neither gets rules until that is settled.
	Contested bool

	// Refusal says that the switch refused these very rules: the port is blocked instead.
	Refusal Refusal
}

// Refusal is a set of rules that a switch refused, and why. The zero value is none.
type Refusal struct {
	Rules  [sha256.Size]byte // their digest
	Reason string            // what the switch said
}

// Same reports whether two inputs ask for the same rules.
func (in *Input) Same(o *Input) bool {
	return in.Runtime == o.Runtime && in.Input.Same(&o.Input)
}

// Compiled is what an input leads to.
type Compiled struct {
	Policy  model.Policy
	Rules   []Rule // none without an OpenFlow port
	Refused bool   // the switch refused the rules of the policy that was asked for, and the port is blocked
}

// Compile resolves the policy that the input asks for and compiles it. A port whose rules
// the switch refused is blocked for as long as the same rules are asked for.
func (in *Input) Compile() Compiled {
	c := Compiled{Policy: in.Resolve()}
	if in.Contested {
		c.Policy.Problems = append(slices.Clone(c.Policy.Problems), model.Problem{
			Key: "ofport", Value: fmt.Sprint(in.Row.OFPort), Reason: "is claimed by another interface too; neither sends anything until that has changed",
		})
	}
	c.Rules = in.rules(&c.Policy)
	if in.Refusal == (Refusal{}) || in.Refusal.Rules != in.digest(c.Rules) {
		return c
	}
	c.Refused = true
	c.Policy = model.Policy{
		Mode: model.Blocked, Origins: model.Origins{Mode: "the switch refused its flows"},
		Problems: append(slices.Clone(c.Policy.Problems), model.Problem{Key: "OpenFlow", Reason: in.Refusal.Reason + "; the VIF is blocked"}),
	}
	c.Rules = in.rules(&c.Policy)
	return c
}

// Refuse returns the refusal of the rules that the input leads to.
func (in *Input) Refuse(reason string) Refusal {
	c := in.Compile()
	return Refusal{Rules: in.digest(c.Rules), Reason: reason}
}

// Pending reports whether the port can have no rules yet: Open vSwitch hasn't given it a
// number, or not to it alone.
func (in *Input) Pending() bool { return in.Row.OFPort == 0 || in.Contested }

func (in *Input) rules(p *model.Policy) []Rule {
	if in.Pending() {
		return nil
	}
	rules := Compile(Port{VIF: ParseVIFID(in.Row.UUID), InPort: in.Row.OFPort, Policy: p, Quarantine: in.Quarantine})
	if in.Sampled {
		rules = Sampled(rules)
	}
	return rules
}

// digest identifies rules on the input's bridge.
func (in *Input) digest(rules []Rule) (sum [sha256.Size]byte) {
	h := sha256.New()
	p := PipelineOf(&in.Bridge)
	for i := range rules {
		h.Write([]byte(rules[i].Text(p)))
		h.Write([]byte{'\n'})
	}
	return [sha256.Size]byte(h.Sum(sum[:0]))
}
