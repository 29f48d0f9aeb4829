package exposure

import (
	"cmp"
	"slices"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
)

// set is a set of VIFs by their index in [Input].VIFs.
type set []uint64

func (s set) add(o set) {
	for i := range o {
		s[i] |= o[i]
	}
}

func (s set) remove(o set) {
	for i := range o {
		s[i] &^= o[i]
	}
}

// within reports whether all of s are in o.
func (s set) within(o set) bool {
	for i := range s {
		if s[i]&^o[i] != 0 {
			return false
		}
	}
	return true
}

func (s set) empty() bool { return !slices.ContainsFunc(s, func(w uint64) bool { return w != 0 }) }

func (s set) put(i int) { s[i/64] |= 1 << (i % 64) }
func (s set) drop(i int) {
	if len(s) > 0 {
		s[i/64] &^= 1 << (i % 64)
	}
}

func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// walk follows the VIFs' frames from table 0 through the flows of others, until they
// reach the first stage, leave, or end. It knows which ports a flow is about, and nothing
// else of its match: what it follows is at least what a frame can do.
type walk struct {
	*judge
	entries  map[uint8][]*flows.Entry
	tables   map[uint8][]flow // as far as they were read
	inside   [256]bool        // the stages' tables
	byPort   map[uint32]int
	everyone set

	reached  map[uint8]set // whose frames reach a table
	entered  set           // whose frames reach the first stage
	missed   set           // whose frames may meet no flow in some table
	offences map[*flow]set

	scratch set // for from, which is called for each flow; at most bit one is set
	one     int
}

func newWalk(j *judge, entries map[uint8][]*flows.Entry) *walk {
	w := &walk{
		judge: j, entries: entries, tables: make(map[uint8][]flow), byPort: make(map[uint32]int, len(j.VIFs)),
		reached: make(map[uint8]set), offences: make(map[*flow]set),
	}
	for _, t := range j.Stages.Tables() {
		w.inside[t] = true
	}
	w.everyone, w.entered, w.missed, w.scratch = w.none(), w.none(), w.none(), w.none()
	for i := range j.VIFs {
		if p := j.VIFs[i].InPort; p != 0 {
			w.byPort[p] = i
		}
		w.everyone.put(i)
	}
	return w
}

func (w *walk) none() set { return make(set, (len(w.VIFs)+63)/64) }

func (w *walk) names(s set) (list []string) {
	for i := range w.VIFs {
		if s.has(i) {
			list = append(list, w.VIFs[i].Name)
		}
	}
	return list
}

// from returns those of s whose frames a flow can match, until it is called again.
func (w *walk) from(f *flow, s set) set {
	if f.inPort == 0 {
		return s
	}
	w.scratch.drop(w.one)
	if i, ok := w.byPort[f.inPort]; ok && s.has(i) {
		w.one = i
		w.scratch.put(i)
	}
	return w.scratch
}

// read returns the flows of a table by falling priority.
func (w *walk) read(table uint8) []flow {
	if list, ok := w.tables[table]; ok {
		return list
	}
	list := make([]flow, len(w.entries[table]))
	for i, e := range w.entries[table] {
		list[i] = flow{Entry: e, effect: openflow.EffectOf(e)}
		list[i].inPort, list[i].only = openflow.InPortOf(e)
	}
	slices.SortFunc(list, func(a, b flow) int { return cmp.Compare(b.Priority, a.Priority) })
	w.tables[table] = list
	return list
}

// blame notes that frames of some VIFs pass around the stages through a flow.
func (w *walk) blame(f *flow, who set) {
	if w.offences[f] == nil {
		w.offences[f] = w.none()
	}
	w.offences[f].add(who)
}

func (w *walk) run() {
	w.reached[0] = slices.Clone(w.everyone)
	for todo := []uint8{0}; len(todo) > 0; todo = todo[1:] {
		for _, t := range w.table(todo[0]) {
			if !slices.Contains(todo[1:], t) {
				todo = append(todo, t)
			}
		}
	}
}

// table follows the frames that reach a table and returns the tables that more of them
// reach by that than before.
func (w *walk) table(n uint8) (more []uint8) {
	left := slices.Clone(w.reached[n]) // whom no flow so far is for
	taken := w.none()
	list := w.read(n)
	for len(list) > 0 {
		same := 1 // flows of the same priority: which one is met isn't defined
		for same < len(list) && list[same].Priority == list[0].Priority {
			same++
		}
		for i := range list[:same] {
			f := &list[i]
			who := w.from(f, left)
			if who.empty() {
				continue
			}
			for _, t := range w.follow(f, who) {
				if !slices.Contains(more, t) {
					more = append(more, t)
				}
			}
			if f.only {
				taken.add(who)
			}
		}
		left.remove(taken)
		list = list[same:]
	}
	w.missed.add(left)
	return more
}

// follow notes where a flow sends the frames of some VIFs, and returns the tables that
// they hadn't reached before.
func (w *walk) follow(f *flow, who set) (more []uint8) {
	bad := f.effect.Output || f.effect.Unclear != ""
	for _, t := range f.effect.Tables {
		switch {
		case t == w.Stages.First:
			w.entered.add(who)
		case w.inside[t]:
			bad = true // behind some of the checks
		default:
			if w.reached[t] == nil {
				w.reached[t] = w.none()
			}
			if !who.within(w.reached[t]) {
				w.reached[t].add(who)
				more = append(more, t)
			}
		}
	}
	if bad {
		w.blame(f, who)
	}
	return more
}
