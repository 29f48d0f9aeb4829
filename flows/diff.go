package flows

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

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

// Diff returns the changes that lead from have to want, in an order that depends on
// nothing but its arguments' contents, deletions first. It is empty exactly when both
// hold the same entries. Neither list may hold a key twice.
func Diff(want, have []Entry) []Change {
	installed := make(map[Key]*Entry, len(have))
	for i := range have {
		installed[have[i].Key] = &have[i]
	}
	// Usually the lists are nearly equal, or one of them is empty.
	changes := make([]Change, 0, max(len(want)-len(have), 0))
	left := len(have)
	for i := range want {
		w := &want[i]
		h := installed[w.Key]
		if h != nil {
			installed[w.Key] = nil
			left--
		}
		switch {
		case h == nil:
			changes = append(changes, Change{Add, *w})
		case h.Cookie != w.Cookie:
			// Another owner: replacing it in place would hand on its counters.
			changes = append(changes, Change{Delete, *h}, Change{Add, *w})
		case h.Instructions != w.Instructions:
			changes = append(changes, Change{Modify, *w})
		}
	}
	if left > 0 {
		for _, h := range installed {
			if h != nil {
				changes = append(changes, Change{Delete, *h})
			}
		}
	}
	sortChanges(changes)
	return changes
}

// sortChanges sorts by operation, table, priority and match. The first three have few
// values, so the changes are first dealt out by them.
func sortChanges(changes []Change) {
	type class struct {
		op       Op
		table    uint8
		priority uint16
	}
	of := func(c *Change) class { return class{c.Op, c.Entry.Table, c.Entry.Priority} }
	count := make(map[class]int)
	for i := range changes {
		count[of(&changes[i])]++
	}
	classes := slices.SortedFunc(maps.Keys(count), func(a, b class) int {
		return cmp.Or(cmp.Compare(b.op, a.op), cmp.Compare(a.table, b.table), cmp.Compare(b.priority, a.priority))
	})
	next, at := make(map[class]int, len(classes)), 0
	for _, c := range classes {
		next[c] = at
		at += count[c]
	}
	dealt := make([]Change, len(changes))
	for i := range changes {
		c := of(&changes[i])
		dealt[next[c]] = changes[i]
		next[c]++
	}
	copy(changes, dealt)
	for _, c := range classes {
		end := next[c]
		slices.SortFunc(changes[end-count[c]:end], func(a, b Change) int { return strings.Compare(a.Entry.Match, b.Entry.Match) })
	}
}
