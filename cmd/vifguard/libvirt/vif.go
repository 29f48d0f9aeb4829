package libvirt

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/vifguard/vifguard/model"
)

// SeqPrefix starts the sequence numbers that a hook writes.
const SeqPrefix = "libvirt-"

// VIF is the interface in Open vSwitch of an interface of a domain, and what its keys are to
// become.
type VIF struct {
	MAC     model.MAC
	Row     *model.Interface
	Bridge  string
	Guarded bool

	Want   map[string]string // keys that the domain states, and whom they are for
	Delete []string          // keys of the contract that it doesn't
}

// Find finds the interfaces of a domain's ports by what libvirt writes on them. Names won't
// do: the LXC driver has forgotten them when it calls the hook. The VIFs without metadata
// that have keys of others are the second list: whatever is missing there is no error.
func Find(h *model.Host, d *Domain) (stated, unstated []*VIF, err error) {
	var errs []error
	for _, p := range d.Ports {
		v := find(h, d, p.MAC)
		if v == nil {
			errs = append(errs, fmt.Errorf("port %s: Open vSwitch has no interface with attached-mac %s and vm-id %s (want <virtualport type='openvswitch'/> in its <interface>)", p.MAC, p.MAC, d.UUID))
			continue
		}
		v.Want = maps.Clone(p.Keys)
		v.Want[model.KeyFor] = p.MAC.String()
		v.Delete = v.surplus(d)
		stated = append(stated, v)
	}
	for _, mac := range d.Unstated {
		v := find(h, d, mac)
		if v == nil || v.isOperators() {
			continue
		}
		if v.Delete = v.surplus(d); len(v.Delete) > 0 {
			unstated = append(unstated, v)
		}
	}
	return stated, unstated, errors.Join(errs...)
}

func find(h *model.Host, d *Domain, mac model.MAC) *VIF {
	for _, b := range h.Bridges {
		for _, i := range b.Interfaces {
			m, err := model.ParseMAC(i.ExternalIDs[model.KeyAttachedMAC])
			if err == nil && m == mac && i.ExternalIDs["vm-id"] == d.UUID {
				return &VIF{MAC: mac, Row: i, Bridge: b.Name, Guarded: model.ResolveBridge(b).Guarded}
			}
		}
	}
	return nil
}

// isOperators reports whether somebody else than a hook has written the keys for this VIF.
func (v *VIF) isOperators() bool {
	whom, err := model.ParseMAC(v.Row.ExternalIDs[model.KeyFor])
	return err == nil && whom == v.MAC && !strings.HasPrefix(v.Row.ExternalIDs[model.KeySeq], SeqPrefix)
}

// surplus returns the keys that the row has and the domain doesn't state: an earlier guest
// may have left them, as names of ports are used again. The profile is libvirt's own key; it
// leaves an earlier one where the domain has none.
func (v *VIF) surplus(d *Domain) []string {
	keep := maps.Clone(v.Want)
	if keep == nil {
		keep = make(map[string]string)
	} else {
		keep[model.KeySeq] = ""
	}
	have := v.Row.ExternalIDs[model.KeyProfile]
	if stated, known := d.Profiles[v.MAC]; !known || have == stated {
		keep[model.KeyProfile] = ""
	}
	return v.Row.KeysBeside(keep)
}

// Done reports whether the agent has confirmed the VIF's keys as they are wanted.
func (v *VIF) Done() bool {
	for k, want := range v.Want {
		if have, ok := v.Row.ExternalIDs[k]; !ok || have != want {
			return false
		}
	}
	seq, ok := v.Row.ExternalIDs[model.KeySeq]
	return len(v.Delete) == 0 && (!v.Guarded || ok && Confirmed(v.Row, seq))
}

// Confirmed reports whether a row says that its metadata with this number is in force.
func Confirmed(i *model.Interface, seq string) bool {
	echo, ok := i.ExternalIDs[model.KeyStatusSeq]
	return ok && echo == seq && i.ExternalIDs[model.KeyStatusState] != string(model.StatePending)
}
