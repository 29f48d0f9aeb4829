package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// audience is told what happens, as it happens.
type audience interface {
	situation(number int, s *situation)
	command(prompt, text string)
	outcome(a *attempt, o outcome)
}

// outcome is the fate of an attempt.
type outcome struct {
	arrived bool
	counted drops // by how much drop counters grew
	ok      bool  // as expected
}

// play plays situations on a stage and returns how many attempts met with their
// expected fate, and how many didn't. An error means that the rest couldn't be
// played.
func play(s *stage, situations []situation, to audience) (passed, failed int, err error) {
	for i := range situations {
		to.situation(i, &situations[i])
		changed := false
		for _, st := range situations[i].steps {
			a, ok := st.(attempt)
			if !ok {
				changed = true
				if err := s.perform(st, to); err != nil {
					return passed, failed, err
				}
				continue
			}
			if changed {
				if err := s.settle(); err != nil {
					return passed, failed, err
				}
				changed = false
			}
			o, err := s.try(&a)
			if err != nil {
				return passed, failed, fmt.Errorf("%s: %s: %w", a.from.name, a.sends, err)
			}
			to.outcome(&a, o)
			if o.ok {
				passed++
			} else {
				failed++
			}
		}
	}
	return passed, failed, nil
}

// perform takes a step that isn't an attempt.
func (s *stage) perform(st step, to audience) (err error) {
	switch st := st.(type) {
	case vifguard:
		to.command("$", "vifguard "+string(st))
		_, err = s.vifguard(strings.Fields(string(st))...)
	case vsctl:
		to.command("$", "ovs-vsctl "+string(st))
		_, err = s.sw.Vsctl(strings.Fields(string(st))...)
	case inside:
		to.command(st.guest.host().name+"$", st.command)
		err = s.shell(st.guest, st.command)
	case act:
		to.command("*", st.text)
		err = st.do(s)
	default:
		err = fmt.Errorf("a step of type %T can't be taken", st)
	}
	return err
}

// try makes an attempt and judges what came of it.
func (s *stage) try(a *attempt) (o outcome, err error) {
	ears, err := s.nics[a.to].Listen()
	if err != nil {
		return o, err
	}
	defer ears.Close()
	before, err := s.drops(a.from.bridge)
	if err != nil {
		return o, err
	}
	if o.arrived, err = a.how(s, a, ears); err != nil {
		return o, err
	}
	after, err := s.drops(a.from.bridge)
	if err != nil {
		return o, err
	}
	o.counted = after.since(before)
	o.ok = o.arrived == a.want.arrives && maps.Equal(o.counted.present(), a.expected())
	return o, nil
}

// expected are the counters that have to grow, and no other may.
func (a *attempt) expected() map[string]bool {
	owner := a.from.name
	switch {
	case a.want.reason == "":
		return map[string]bool{}
	case a.want.reason == unknownPort:
		owner = a.from.bridge
	case a.want.at != nil:
		owner = a.want.at.name
	}
	return map[string]bool{owner + " " + a.want.reason: true}
}

func (d drops) present() map[string]bool {
	set := map[string]bool{}
	for key := range d {
		set[key] = true
	}
	return set
}

// host is the guest that the interface belongs to.
func (v *vif) host() *vif {
	if v.guest != nil {
		return v.guest
	}
	return v
}

// String says what should happen.
func (v verdict) String() string {
	switch {
	case v.arrives && v.reason != "":
		return "count"
	case v.arrives:
		return "pass"
	}
	return "drop"
}

// text says what happened to an attempt: a reason alone is the sender's, one of
// another VIF comes with its name.
func (o outcome) text(a *attempt) string {
	var reasons []string
	for _, key := range slices.Sorted(maps.Keys(o.counted)) {
		owner, reason, _ := strings.Cut(key, " ")
		if owner != a.from.name && reason != unknownPort {
			reason += " at " + owner
		}
		reasons = append(reasons, reason)
	}
	why := strings.Join(reasons, ", ")
	switch {
	case o.arrived && why == "":
		return "passed"
	case o.arrived:
		return "passed, counts " + why
	case why == "":
		return "lost, uncounted"
	}
	return "dropped: " + why
}
