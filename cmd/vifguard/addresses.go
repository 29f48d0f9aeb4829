package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/model"
)

// addressesResult is the JSON output of addresses. Its schema is stable.
type addressesResult struct {
	Addresses []addressEntry    `json:"addresses"`
	Conflicts []addressConflict `json:"conflicts"`
}

// addressEntry is an address or prefix and the VIFs that may use it.
type addressEntry struct {
	Address string       `json:"address"`
	VIFs    []addressVIF `json:"vifs"` // the one that used it last first
}

type addressVIF struct {
	Bridge    string    `json:"bridge"`
	Port      string    `json:"port"`
	VM        string    `json:"vm,omitempty"`
	MAC       string    `json:"mac"`
	As        string    `json:"as"`        // own, pair, vrrp or link-local; with " (source only)" for short prefixes
	Last      bool      `json:"last"`      // no other VIF announced or used it later
	Announced *sighting `json:"announced"` // in ARP or ND; null when the VIF's checks don't count that
	Used      *sighting `json:"used"`      // as IP source; null when the VIF's checks don't count that
}

type sighting struct {
	Packets uint64 `json:"packets"`
	Ago     *int64 `json:"ago_s"`   // seconds since the last packet; null when there was none or it isn't known
	Since   *int64 `json:"since_s"` // seconds that have been counted; null when that isn't known
}

type addressConflict struct {
	Bridge    string   `json:"bridge"`
	Kind      string   `json:"kind"` // duplicate or overlap
	Addresses []string `json:"addresses"`
	Ports     []string `json:"ports"`
}

func newAddresses(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "addresses [ADDRESS]",
		Short: "Show who may use an address, and who used it last",
		Long: `Show the addresses declared on this host, or those that ADDRESS (an address or a prefix)
is part of: the VIFs that may use each, which of them announced it last in ARP or
neighbour discovery, and which last sent from it. So it says who holds a failover IP.

The times are those of the flows that let the packets through, read from the switch, so
they are true while the agent is down. They need OpenFlow15 among the bridge's protocols
(it is by default), and say "unknown" without. A change of the VIF's addresses that
replaces a flow starts its times anew: "not in 5m" means since then. "-" means that the
VIF's checks don't look at it: IP sources count with the check ip, announcements with arp.
Where bindings of one VIF overlap, either may count a packet.

Conflicts follow: an address that two VIFs of a bridge declare as their own, where one of
them should have it as a pair, and prefixes of different VIFs that overlap. vifguard
doesn't read VLANs: VIFs in different ones may share addresses on purpose.

Exit codes: 0; 1 no VIF may use ADDRESS.`,
		Example: `  vifguard addresses                       every declared address
  vifguard addresses 192.0.2.100           who holds the failover IP?
  vifguard addresses 2001:db8::/64 -o json`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			var asked netip.Prefix
			if len(args) == 1 {
				var err error
				if asked, err = parseAsked(args[0]); err != nil {
					return usageError(cmd, "ADDRESS: %v", err)
				}
			}
			return o.addresses(cmd, asked, format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}

// parseAsked parses an address or a prefix; host bits of a prefix don't matter.
func parseAsked(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address or prefix (want e.g. 192.0.2.10 or 2001:db8::/64)", s)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// holding is one binding on one bridge.
type holding struct {
	bridge string
	inspect.AddressUse
}

func (o *options) addresses(cmd *cobra.Command, asked netip.Prefix, format string) error {
	s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	var all []holding
	for _, b := range s.Host().Bridges {
		if !model.ResolveBridge(b).Guarded {
			continue
		}
		in := s.inspect(b)
		uses, err := inspect.Addresses(s.ctx, &in, s.runDir)
		if err != nil {
			remark(cmd, "times are unknown: %v", explainTimes(b.Name, s.runDir, err))
		}
		for _, u := range uses {
			if u.Port.Policy.Mode != model.Blocked || u.Port.Policy.Action == model.Observe {
				all = append(all, holding{b.Name, u})
			}
		}
	}
	wanted := slices.DeleteFunc(slices.Clone(all), func(h holding) bool {
		if asked.IsValid() {
			return !h.Binding.Prefix.Overlaps(asked)
		}
		return h.Binding.Origin == model.OriginLinkLocal
	})
	r := addressesResult{Addresses: group(wanted), Conflicts: conflicts(wanted)}
	if format == "json" {
		err = output(cmd).JSON(r)
	} else {
		r.print(output(cmd))
	}
	if err == nil && asked.IsValid() && len(wanted) == 0 {
		return fail(exitNo, "no VIF of a guarded bridge may use %s", model.FormatPrefix(asked))
	}
	return err
}

func explainTimes(bridge, runDir string, err error) error {
	var said *coded
	switch {
	case errors.As(err, &said):
		return err
	case errors.Is(err, openflow.ErrNoTimes):
		return fmt.Errorf("bridge %s: %w (ovs-vsctl add bridge %s protocols OpenFlow15)", bridge, openflow.ErrNoTimes, bridge)
	}
	return explainSwitch(bridge, runDir, err)
}

// group collects the holdings of each address: IPv4 before IPv6, in numerical order.
func group(list []holding) []addressEntry {
	slices.SortStableFunc(list, func(a, b holding) int {
		p, q := a.Binding.Prefix, b.Binding.Prefix
		return cmp.Or(p.Addr().Compare(q.Addr()), cmp.Compare(p.Bits(), q.Bits()))
	})
	entries := []addressEntry{}
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

func newEntry(list []holding) addressEntry {
	latest := func(h holding) time.Duration {
		last := time.Duration(1<<63 - 1)
		for _, s := range []*inspect.Sighting{&h.Announced, &h.Used} {
			if s.Seen() {
				last = min(last, s.Ago.Truncate(time.Second))
			}
		}
		return last
	}
	slices.SortStableFunc(list, func(a, b holding) int { return cmp.Compare(latest(a), latest(b)) })
	e := addressEntry{Address: model.FormatPrefix(list[0].Binding.Prefix)}
	for _, h := range list {
		seen := h.Announced.Seen() || h.Used.Seen()
		e.VIFs = append(e.VIFs, addressVIF{
			Bridge: h.bridge, Port: h.Port.Row.Name, VM: h.Port.Row.VMID(), MAC: h.Binding.MAC.String(), As: heldAs(h.Binding),
			Last: seen && latest(h) == latest(list[0]), Announced: newSighting(&h.Announced), Used: newSighting(&h.Used),
		})
	}
	return e
}

func heldAs(b model.Binding) string {
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

func newSighting(s *inspect.Sighting) *sighting {
	if !s.Counted {
		return nil
	}
	r := &sighting{Packets: s.Packets}
	inSeconds := func(d time.Duration) *int64 { n := int64(d / time.Second); return &n }
	if s.Known {
		r.Since = inSeconds(s.Since)
	}
	if s.Seen() {
		r.Ago = inSeconds(s.Ago)
	}
	return r
}

// conflicts finds what should not be on one bridge. Short prefixes belong to
// routers and firewalls; link-local addresses follow from MACs.
func conflicts(list []holding) []addressConflict {
	found := []addressConflict{}
	var open []holding // those whose prefix may still contain the next, in order
	list = slices.DeleteFunc(slices.Clone(list), func(h holding) bool {
		return h.Binding.IPOnly() || h.Binding.Origin == model.OriginLinkLocal
	})
	slices.SortStableFunc(list, func(a, b holding) int {
		p, q := a.Binding.Prefix, b.Binding.Prefix
		return cmp.Or(cmp.Compare(a.bridge, b.bridge), p.Addr().Compare(q.Addr()), cmp.Compare(p.Bits(), q.Bits()))
	})
	for _, h := range list {
		open = slices.DeleteFunc(open, func(o holding) bool {
			return o.bridge != h.bridge || !o.Binding.Prefix.Contains(h.Binding.Prefix.Addr())
		})
		for _, o := range open {
			c := addressConflict{Bridge: h.bridge, Kind: "overlap", Ports: []string{o.Port.Row.Name, h.Port.Row.Name}}
			same := o.Binding.Prefix == h.Binding.Prefix
			switch {
			case o.Port == h.Port:
				continue
			case same && o.Binding.Origin == model.KeyAddresses && h.Binding.Origin == model.KeyAddresses:
				c.Kind, c.Addresses = "duplicate", []string{model.FormatPrefix(h.Binding.Prefix)}
			case same:
				continue // shared on purpose: a pair
			default:
				c.Addresses = []string{model.FormatPrefix(o.Binding.Prefix), model.FormatPrefix(h.Binding.Prefix)}
			}
			found = append(found, c)
		}
		open = append(open, h)
	}
	return found
}

func (r *addressesResult) print(out *term.Writer) {
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

func (c *addressConflict) text() string {
	if c.Kind == "duplicate" {
		return fmt.Sprintf("conflict on bridge %s: %s is declared by %s and %s as their own (if they share it: --pair on one)",
			c.Bridge, c.Addresses[0], c.Ports[0], c.Ports[1])
	}
	return fmt.Sprintf("conflict on bridge %s: %s of %s and %s of %s overlap",
		c.Bridge, c.Addresses[0], c.Ports[0], c.Addresses[len(c.Addresses)-1], c.Ports[1])
}

// text says when, in a few characters.
func (s *sighting) text() string {
	switch {
	case s == nil:
		return "-"
	case s.Since == nil && s.Packets > 0:
		return "unknown"
	case s.Packets == 0 && s.Since == nil:
		return "not yet"
	case s.Packets == 0:
		return "not in " + roughly(*s.Since)
	}
	return roughly(*s.Ago) + " ago"
}

// roughly writes seconds in the largest unit of which there are at least two.
func roughly(seconds int64) string {
	for _, u := range []struct {
		name string
		in   int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}} {
		if seconds >= 2*u.in {
			return fmt.Sprintf("%d%s", seconds/u.in, u.name)
		}
	}
	return fmt.Sprintf("%ds", seconds)
}
