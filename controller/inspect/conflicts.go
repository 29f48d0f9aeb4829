package inspect

import (
	"cmp"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// BindingUse is one binding of a port of one bridge.
type BindingUse struct {
	Bridge string
	AddressUse
}

// Conflict is what two ports of a bridge should not both declare. The one with the wider
// prefix comes first.
type Conflict struct {
	A, B      *BindingUse
	Duplicate bool // both declare the address as their own; without, their prefixes overlap
}

// Conflicts finds what should not be on one bridge. Short prefixes belong to
// routers and firewalls; link-local addresses follow from MACs.
func Conflicts(all []BindingUse) []Conflict {
	var found []Conflict
	var list, open []*BindingUse // open are those whose prefix may still contain the next, in order
	for i := range all {
		if h := &all[i]; !h.Binding.IPOnly() && h.Binding.Origin != model.OriginLinkLocal {
			list = append(list, h)
		}
	}
	slices.SortStableFunc(list, func(a, b *BindingUse) int {
		p, q := a.Binding.Prefix, b.Binding.Prefix
		return cmp.Or(cmp.Compare(a.Bridge, b.Bridge), p.Addr().Compare(q.Addr()), cmp.Compare(p.Bits(), q.Bits()))
	})
	for _, h := range list {
		open = slices.DeleteFunc(open, func(o *BindingUse) bool {
			return o.Bridge != h.Bridge || !o.Binding.Prefix.Contains(h.Binding.Prefix.Addr())
		})
		for _, o := range open {
			same := o.Binding.Prefix == h.Binding.Prefix
			switch {
			case o.Port == h.Port:
			case same && o.Binding.Origin == model.KeyAddresses && h.Binding.Origin == model.KeyAddresses:
				found = append(found, Conflict{A: o, B: h, Duplicate: true})
			case same: // shared on purpose: a pair
			default:
				found = append(found, Conflict{A: o, B: h})
			}
		}
		open = append(open, h)
	}
	return found
}
