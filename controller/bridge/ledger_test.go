package bridge

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// history makes random changes of all that a bridge's flows depend on.
type history struct {
	*rand.Rand
	ids      map[string]string // of the bridge
	profiles map[string]string
	rows     map[string]*model.Interface // by name
	facts    facts
	uuids    int
}

// values are what keys can be given, "" for absent.
var values = map[string][]string{
	model.KeyAttachedMAC: {"52:54:00:00:00:01", "00:00:5e:00:01:07", "nonsense", ""},
	model.KeyAddresses:   {"192.0.2.1", "192.0.2.0/24, 2001:db8::1", "nonsense", ""},
	model.KeyPairs:       {"192.0.2.9@00:00:5e:00:01:09", "0.0.0.0/0", ""},
	model.KeyChecks:      {"auto", "mac", "mac,arp", "mac,arp,ip", "off", "block", "nonsense", ""},
	model.KeyAction:      {"enforce", "observe", ""},
	model.KeyAllow:       {"router,dhcp-server", "priority-tag", "ethertype:0x88cc", ""},
	model.KeyFlood:       {"100", "2000", "off", ""},
	model.KeyProfile:     {"fw", "nobody", ""},
}

func pick[T any](h *history, list []T) T { return list[h.IntN(len(list))] }

func (h *history) set(ids map[string]string, key string) {
	if v := pick(h, values[key]); v != "" {
		ids[key] = v
	} else {
		delete(ids, key)
	}
}

// change changes one thing.
func (h *history) change() {
	name := fmt.Sprintf("p%d", h.IntN(5))
	row := h.rows[name]
	switch h.IntN(12) {
	case 0:
		h.set(h.ids, pick(h, []string{model.KeyAction, model.KeyFlood}))
	case 1:
		h.ids[model.KeyChecks] = pick(h, []string{"auto", "mac", "mac,arp,ip"})
	case 2:
		h.ids[model.KeyUnmarked] = pick(h, []string{"block", "trust"})
	case 3:
		h.ids[model.KeyFirstTable] = pick(h, []string{"0", "20"})
	case 4:
		h.profiles = map[string]string{"fw": pick(h, []string{"checks=mac,arp", "allow=router", "action=observe flood=50"}), "other": pick(h, []string{"a", "b"})}
	case 5:
		h.facts.sampled = !h.facts.sampled
	case 6:
		h.quarantine(row)
	case 7:
		h.refuse(row)
	case 8:
		delete(h.rows, name)
	case 9: // made anew, or moved to another port, now and then one that is taken
		h.uuids++
		h.rows[name] = &model.Interface{UUID: rowUUID(byte(h.uuids)), Name: name, OFPort: uint32(h.IntN(7)), ExternalIDs: map[string]string{}}
	default:
		if row != nil {
			next := *row
			next.ExternalIDs = make(map[string]string)
			for k, v := range row.ExternalIDs {
				next.ExternalIDs[k] = v
			}
			for key := range values {
				if h.IntN(4) == 0 {
					h.set(next.ExternalIDs, key)
				}
			}
			next.ExternalIDs[model.KeyStatusState] = pick(h, []string{"pending", "enforced"}) // of which nothing depends
			h.rows[name] = &next
		}
	}
}

func (h *history) quarantine(row *model.Interface) {
	q := map[string]*quarantine{}
	if row != nil && h.IntN(2) == 0 {
		q[row.UUID] = &quarantine{timeout: uint16(10 + h.IntN(2))}
	}
	h.facts.quarantines = q
}

// refuse has the switch refuse what a row asks for now.
func (h *history) refuse(row *model.Interface) {
	refusals := map[string]flows.Refusal{}
	if row != nil && h.IntN(2) == 0 {
		in := flows.Input{Input: model.NewInput(&h.target().Config, h.profiles, row), Runtime: h.facts.of(row)}
		refusals[row.UUID] = in.Refuse("no room")
	}
	h.facts.refusals = refusals
}

func (h *history) target() *Target {
	b := &model.Bridge{Name: "br0", ExternalIDs: make(map[string]string)}
	for k, v := range h.ids {
		b.ExternalIDs[k] = v
	}
	for _, row := range h.rows {
		b.Interfaces = append(b.Interfaces, row)
	}
	slices.SortFunc(b.Interfaces, model.CompareInterfaces)
	return NewTarget(&model.Host{Bridges: []*model.Bridge{b}, Profiles: h.profiles}, b)
}

// After any history of all that flows depend on, a ledger holds what one holds that
// starts from scratch, and each change it reports leads from the flows before to those
// after.
func TestRememberedIsFromScratch(t *testing.T) {
	h := &history{Rand: rand.New(rand.NewPCG(1, 2)), ids: map[string]string{model.KeyChecks: "auto"}, rows: make(map[string]*model.Interface)}
	var old ledger
	var installed []flows.Entry
	kinds := make(map[string]int)
	for round := range 2000 {
		for range 1 + h.IntN(3) {
			h.change()
		}
		target := h.target()
		c, err := old.update(target, h.facts)
		if err != nil {
			t.Fatal(err)
		}
		var fresh ledger
		if _, err := fresh.update(target, h.facts); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fresh.entries(), old.entries()); diff != "" {
			t.Fatalf("round %d: flows (-from scratch +remembered):\n%s", round, diff)
		}
		if fresh.guarded != old.guarded || !cmp.Equal(fresh.limits, old.limits) {
			t.Fatalf("round %d: %d guarded with limits %v, from scratch %d with %v", round, old.guarded, old.limits, fresh.guarded, fresh.limits)
		}
		installed = applied(t, installed, flows.Diff(c.new, c.old))
		if extra := flows.Diff(old.entries(), installed); len(extra) > 0 {
			t.Fatalf("round %d: the change leaves %d flows to repair", round, len(extra))
		}
		for i, v := range old.vifs {
			same(t, round, v, fresh.vifs[i])
			kinds[string(v.State())]++
			if v.Refused() {
				kinds["refused"]++
			}
			if v.input.Contested {
				kinds["contested"]++
			}
		}
	}
	for _, kind := range []string{"enforced", "observed", "off", "blocked", "quarantined", "refused", "contested"} {
		if kinds[kind] < 20 {
			t.Errorf("only %d ports were %s", kinds[kind], kind)
		}
	}
}

// same fails unless two values of a port say the same.
func same(t *testing.T, round int, a, b *VIF) {
	t.Helper()
	if a.Row != b.Row || !reflect.DeepEqual(a.Policy, b.Policy) || a.State() != b.State() || a.Refused() != b.Refused() || a.Pending() != b.Pending() || a.meter != b.meter {
		t.Fatalf("round %d: %s is remembered otherwise than from scratch", round, a.Row.Name)
	}
}

// applied returns the flows after changes, as a switch applies them.
func applied(t *testing.T, have []flows.Entry, changes []flows.Change) []flows.Entry {
	t.Helper()
	byKey := make(map[flows.Key]flows.Entry, len(have))
	for _, e := range have {
		if _, twice := byKey[e.Key]; twice {
			t.Fatal("a flow is there twice")
		}
		byKey[e.Key] = e
	}
	for _, c := range changes {
		if c.Op == flows.Delete {
			delete(byKey, c.Entry.Key)
		} else {
			byKey[c.Entry.Key] = c.Entry
		}
	}
	var list []flows.Entry
	for _, e := range byKey {
		list = append(list, e)
	}
	return list
}
