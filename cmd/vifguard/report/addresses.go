package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

// Addresses is the JSON output of addresses. Its schema is stable.
type Addresses struct {
	Addresses []AddressEntry    `json:"addresses"`
	Conflicts []AddressConflict `json:"conflicts"`
}

// AddressEntry is an address or prefix and the VIFs that may use it.
type AddressEntry struct {
	Address string       `json:"address"`
	VIFs    []AddressVIF `json:"vifs"` // the one that used it last first
}

// AddressVIF is a VIF that may use an address.
type AddressVIF struct {
	Bridge    string    `json:"bridge"`
	Port      string    `json:"port"`
	VM        string    `json:"vm,omitempty"`
	MAC       string    `json:"mac"`
	As        string    `json:"as"`        // own, pair, vrrp or link-local; with " (source only)" for short prefixes
	Last      bool      `json:"last"`      // no other VIF announced or used it later
	Announced *Activity `json:"announced"` // in ARP or ND; null when the VIF's checks don't count that
	Used      *Activity `json:"used"`      // as IP source; null when the VIF's checks don't count that
}

// Activity is when a VIF last used an address in one way.
type Activity struct {
	Packets uint64 `json:"packets"`
	Ago     *int64 `json:"ago_s"`   // seconds since the last packet; null when there was none or it isn't known
	Since   *int64 `json:"since_s"` // seconds that have been counted; null when that isn't known
}

// AddressConflict is what two VIFs of a bridge shouldn't both declare.
type AddressConflict struct {
	Bridge    string   `json:"bridge"`
	Kind      string   `json:"kind"` // duplicate or overlap
	Addresses []string `json:"addresses"`
	Ports     []string `json:"ports"`
}

// NewAddresses says who may use the addresses of bindings, and which of these contradict
// each other. It changes their order.
func NewAddresses(list []inspect.BindingUse) *Addresses {
	r := Addresses{Addresses: group(list), Conflicts: []AddressConflict{}}
	for _, c := range inspect.Conflicts(list) {
		r.Conflicts = append(r.Conflicts, newConflict(&c))
	}
	return &r
}

func newConflict(c *inspect.Conflict) AddressConflict {
	r := AddressConflict{
		Bridge: c.A.Bridge, Kind: "overlap", Ports: []string{c.A.Port.Row.Name, c.B.Port.Row.Name},
		Addresses: []string{model.FormatPrefix(c.A.Binding.Prefix), model.FormatPrefix(c.B.Binding.Prefix)},
	}
	if c.Duplicate {
		r.Kind, r.Addresses = "duplicate", r.Addresses[:1]
	}
	return r
}

// group collects the holdings of each address: IPv4 before IPv6, in numerical order.
func group(list []inspect.BindingUse) []AddressEntry {
	slices.SortStableFunc(list, func(a, b inspect.BindingUse) int {
		p, q := a.Binding.Prefix, b.Binding.Prefix
		return cmp.Or(p.Addr().Compare(q.Addr()), cmp.Compare(p.Bits(), q.Bits()))
	})
	entries := []AddressEntry{}
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].Binding.Prefix == list[0].Binding.Prefix {
			n++
		}
		entries = append(entries, newEntry(list[:n]))
		list = list[n:]
	}
	return entries
}

func newEntry(list []inspect.BindingUse) AddressEntry {
	latest := func(h inspect.BindingUse) time.Duration {
		last := time.Duration(1<<63 - 1)
		for _, s := range []*inspect.Activity{&h.Announced, &h.Used} {
			if s.Recorded() {
				last = min(last, s.Ago.Truncate(time.Second))
			}
		}
		return last
	}
	slices.SortStableFunc(list, func(a, b inspect.BindingUse) int { return cmp.Compare(latest(a), latest(b)) })
	e := AddressEntry{Address: model.FormatPrefix(list[0].Binding.Prefix)}
	for _, h := range list {
		recorded := h.Announced.Recorded() || h.Used.Recorded()
		e.VIFs = append(e.VIFs, AddressVIF{
			Bridge: h.Bridge, Port: h.Port.Row.Name, VM: h.Port.Row.VMID(), MAC: h.Binding.MAC.String(), As: usedAs(h.Binding),
			Last: recorded && latest(h) == latest(list[0]), Announced: newActivity(&h.Announced), Used: newActivity(&h.Used),
		})
	}
	return e
}

func usedAs(b model.Binding) string {
	as := "pair"
	switch {
	case b.Origin == model.OriginLinkLocal:
		as = "link-local"
	case b.MAC.IsVRRP():
		as = "vrrp"
	case b.Origin == model.KeyAddresses:
		as = "own"
	}
	if b.IPOnly() {
		as += " (source only)"
	}
	return as
}

func newActivity(s *inspect.Activity) *Activity {
	if !s.Counted {
		return nil
	}
	r := &Activity{Packets: s.Packets}
	inSeconds := func(d time.Duration) *int64 { n := int64(d / time.Second); return &n }
	if s.Known {
		r.Since = inSeconds(s.Since)
	}
	if s.Recorded() {
		r.Ago = inSeconds(s.Ago)
	}
	return r
}

// Print writes the addresses as a table, and the conflicts.
func (r *Addresses) Print(out *term.Writer) {
	t := term.Table{
		Head:  []string{"ADDRESS", "BRIDGE", "VM", "MAC", "AS", "ANNOUNCED", "USED"},
		Least: map[string]int{"ADDRESS": 17, "BRIDGE": 6, "VM": 8, "AS": 4},
		Style: func(heading, cell string) term.Style {
			if heading == "ADDRESS" && strings.HasSuffix(cell, "(last)") {
				return term.Green
			}
			return term.Plain
		},
	}
	for _, e := range r.Addresses {
		t.Section(e.Address)
		for _, v := range e.VIFs {
			name := "  " + v.Port
			if v.Last {
				name += " (last)"
			}
			t.Add(name, v.Bridge, v.VM, v.MAC, v.As, v.Announced.text(), v.Used.text())
		}
	}
	if len(r.Addresses) > 0 {
		t.Write(out)
	}
	for _, c := range r.Conflicts {
		out.Paragraph(term.Red, c.text(), "  ")
	}
}

func (c *AddressConflict) text() string {
	if c.Kind == "duplicate" {
		return fmt.Sprintf("conflict on bridge %s: %s is declared by %s and %s as their own (if they share it: --pair on one)",
			c.Bridge, c.Addresses[0], c.Ports[0], c.Ports[1])
	}
	return fmt.Sprintf("conflict on bridge %s: %s of %s and %s of %s overlap",
		c.Bridge, c.Addresses[0], c.Ports[0], c.Addresses[len(c.Addresses)-1], c.Ports[1])
}

// text says when, in a few characters.
func (s *Activity) text() string {
	switch {
	case s == nil:
		return "-"
	case s.Since == nil && s.Packets > 0:
		return "unknown"
	case s.Packets == 0 && s.Since == nil:
		return "not yet"
	case s.Packets == 0:
		return "not in " + Roughly(*s.Since)
	}
	return Roughly(*s.Ago) + " ago"
}
