package model

// State is what the agent reports of a VIF.
type State string

// The states of a VIF.
//
//	           no OpenFlow port yet, or the switch hasn't confirmed
//	                            |
//	                         pending
//	                            |  confirmed
//	   +-----------+------------+-----------+
//	enforced    observed       off       blocked
//	   |  ^
//	   v  |  it floods, and time heals
//	quarantined
//
// In place of enforced, blocked and quarantined a VIF is exposed for as long as something in
// the switch lets its frames pass around the tables. A change of policy moves directly between all but pending; losing the OpenFlow port
// leads back to that.
const (
	StateEnforced    State = "enforced"
	StateExposed     State = "exposed" // its rules are in force, but frames can pass around them
	StateObserved    State = "observed"
	StateOff         State = "off"
	StateBlocked     State = "blocked"
	StateQuarantined State = "quarantined"
	StatePending     State = "pending"
)

// States returns all states.
func States() []State {
	return []State{StateEnforced, StateExposed, StateObserved, StateOff, StateBlocked, StateQuarantined, StatePending}
}

// Drops reports whether something of a VIF in this state is dropped, so that a way around the
// tables would make it exposed.
func (s State) Drops() bool {
	return s == StateEnforced || s == StateBlocked || s == StateQuarantined
}

// Status is what the agent writes on one interface. An empty field means that the
// key is absent.
type Status struct {
	State  State
	Checks string
	Error  string
	Seq    string
	HasSeq bool   // Seq is present even when it is empty
	Flood  string // when, for how long and why it was last quarantined
}

// statusKeys are the keys in which a status is written. The value of one that isn't
// present is deleted.
var statusKeys = [...]struct {
	name string
	of   func(*Status) (value string, present bool)
}{
	{KeyStatusState, func(s *Status) (string, bool) { return string(s.State), s.State != "" }},
	{KeyStatusChecks, func(s *Status) (string, bool) { return s.Checks, s.Checks != "" }},
	{KeyStatusError, func(s *Status) (string, bool) { return s.Error, s.Error != "" }},
	{KeyStatusSeq, func(s *Status) (string, bool) { return s.Seq, s.HasSeq }},
	{KeyStatusFlood, func(s *Status) (string, bool) { return s.Flood, s.Flood != "" }},
}

// StatusKeys returns the Interface keys that the agent writes.
func StatusKeys() []string {
	var names []string
	for _, k := range statusKeys {
		names = append(names, k.name)
	}
	return names
}

func isStatusKey(name string) bool {
	for i := range statusKeys {
		if statusKeys[i].name == name {
			return true
		}
	}
	return false
}

// StateOf returns the state of a VIF whose policy the switch has confirmed, and which
// isn't quarantined.
func StateOf(p *Policy) State {
	switch p.Mode {
	case Off:
		return StateOff
	case Blocked:
		if p.Action == Observe {
			return StateObserved
		}
		return StateBlocked
	case Trusted, Checked:
	}
	if p.Action == Observe {
		return StateObserved
	}
	return StateEnforced
}

// StatusOf returns what is reported of a VIF whose policy the switch has confirmed, and
// which isn't quarantined. What was said of its last quarantine stays.
func StatusOf(p *Policy, i *Interface, bridge Problems) Status {
	s := Status{State: StateOf(p), Checks: p.Checks.String(), Error: p.errorText(bridge), Flood: p.LastFlood(i)}
	s.Seq, s.HasSeq = i.keysFor(new(Problems)).ExternalIDs[KeySeq]
	return s
}

// PendingStatus returns what is reported of a VIF whose policy isn't in force yet.
// Its sequence number stays what it was: that of the metadata in force before.
func PendingStatus(p *Policy, i *Interface, bridge Problems) Status {
	s := Status{State: StatePending, Error: p.errorText(bridge), Flood: p.LastFlood(i)}
	s.Seq, s.HasSeq = i.ExternalIDs[KeyStatusSeq]
	return s
}

// Expose makes it the status of a VIF whose frames can pass around the tables: why leads the
// error. It means nothing for a VIF of which nothing is dropped anyway.
func (s *Status) Expose(why string) {
	if !s.State.Drops() {
		return
	}
	s.State = StateExposed
	if s.Error != "" {
		why += "; " + s.Error
	}
	s.Error = why
}

// LastFlood returns what an interface says of its last quarantine; "" for one that has no
// flood limit any more.
func (p *Policy) LastFlood(i *Interface) string {
	if p.Flood == 0 {
		return ""
	}
	return i.ExternalIDs[KeyStatusFlood]
}

func (p *Policy) errorText(bridge Problems) string {
	return append(append(Problems{}, p.Problems...), bridge...).String()
}

// Changes compares the status with the keys on the interface and returns the
// keys to set and to delete; both are empty when nothing changed.
func (s Status) Changes(i *Interface) (set map[string]string, del []string) {
	for _, k := range statusKeys {
		value, present := k.of(&s)
		have, ok := i.ExternalIDs[k.name]
		switch {
		case present && (!ok || have != value):
			if set == nil {
				set = make(map[string]string, len(statusKeys))
			}
			set[k.name] = value
		case !present && ok:
			del = append(del, k.name)
		}
	}
	return set, del
}
