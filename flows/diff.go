package flows

// Key identifies a flow within a switch: OpenFlow 1.3 section 5.2.
type Key struct {
	Table    uint8
	Priority uint16
	Match    string // struct ofp_match as encoded, with its padding
}

// Entry is a flow as the switch stores it. Open vSwitch returns the encoded match and
// instructions byte for byte, so two entries with equal fields are the same flow.
type Entry struct {
	Key
	Cookie       uint64
	Instructions string // the instructions as encoded
	Timeout      uint16 // seconds after which the switch deletes it; 0 for never
}

// Op says how a flow is changed.
type Op uint8

// The operations, as in OpenFlow 1.3 section 7.3.4.1.
const (
	Add    Op = iota // adds
	Modify           // MODIFY_STRICT: replaces the instructions and keeps the counters
	Delete           // DELETE_STRICT, only where the cookie is the entry's
)

func (o Op) String() string {
	return [...]string{"add", "modify", "delete"}[o]
}

// Change is one change of one flow.
type Change struct {
	Op    Op
	Entry Entry
}

// Diff returns the changes that lead from have to want: deletions first, and otherwise in
// the order of the arguments. It is empty exactly when both hold the same entries.
// Neither list may hold a key twice.
func Diff(want, have []Entry) []Change {
	installed := make(map[Key]*Entry, len(have))
	for i := range have {
		installed[have[i].Key] = &have[i]
	}
	// Usually the lists are nearly equal, or one of them is empty.
	changes := make([]Change, 0, max(len(want)-len(have), 0))
	kept := 0
	for i := range want {
		w := &want[i]
		h := installed[w.Key]
		switch {
		case h == nil:
			changes = append(changes, Change{Add, *w})
			continue
		case h.Cookie != w.Cookie || h.Timeout != w.Timeout:
			// Replacing a flow in place would hand on another owner's counters, and
			// changes no timeout.
			changes = append(changes, Change{Add, *w})
			continue
		case h.Instructions != w.Instructions:
			changes = append(changes, Change{Modify, *w})
		}
		installed[w.Key] = nil
		kept++
	}
	if kept == len(have) {
		return changes
	}
	var gone []Change
	for i := range have {
		if installed[have[i].Key] != nil {
			gone = append(gone, Change{Delete, have[i]})
		}
	}
	return append(gone, changes...)
}
