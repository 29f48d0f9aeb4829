package model

import (
	"slices"
	"strings"
)

// KeyClosed is the key of Port.external_ids that lists the keys of other_config which
// vifguard has set to "false" where the Port said nothing, so that they can be given back.
const KeyClosed = "vifguard-closed"

// Keys of a Port's other_config that say whether it takes part in a spanning tree
// (ovs-vswitchd.conf.db(5)). Open vSwitch takes the BPDUs of a port that does before it
// looks at any flow.
const (
	configSTP  = "stp-enable"
	configRSTP = "rstp-enable"
)

// NoSTP reports whether the port takes no part in STP.
func (f *InterfaceFacts) NoSTP() bool { return strings.EqualFold(f.STP, "false") }

// NoRSTP reports whether the port takes no part in RSTP.
func (f *InterfaceFacts) NoRSTP() bool { return strings.EqualFold(f.RSTP, "false") }

// PortChange is what is to change of a Port row's other_config, and of [KeyClosed]; the zero
// value is nothing.
type PortChange struct {
	Close    []string // keys to set to "false"
	GiveBack []string // keys to delete
	Closed   string   // what KeyClosed says then; "" for absent
}

// Empty reports whether nothing is to change.
func (c *PortChange) Empty() bool { return len(c.Close)+len(c.GiveBack) == 0 }

// ClosePort returns what keeps a VIF's frames away from the spanning trees that its bridge
// takes part in, where the Port itself says nothing about them. Of a port of which nothing
// is checked it gives back what was closed before.
func ClosePort(b *Bridge, i *Interface, p *Policy) PortChange {
	if p.Mode != Checked && p.Mode != Blocked {
		return OpenPort(i)
	}
	var c PortChange
	closed := splitWords(i.Facts.Closed)
	for _, k := range []struct {
		on    bool
		key   string
		value string
	}{{b.Facts.STP, configSTP, i.Facts.STP}, {b.Facts.RSTP, configRSTP, i.Facts.RSTP}} {
		if k.on && k.value == "" {
			c.Close = append(c.Close, k.key)
			closed = append(closed, k.key)
		}
	}
	slices.Sort(closed)
	c.Closed = strings.Join(slices.Compact(closed), ",")
	return c
}

// OpenPort returns what gives back all that was closed of a port and is as it was closed.
func OpenPort(i *Interface) PortChange {
	var c PortChange
	for _, key := range splitWords(i.Facts.Closed) {
		if key == configSTP && i.Facts.NoSTP() || key == configRSTP && i.Facts.NoRSTP() {
			c.GiveBack = append(c.GiveBack, key)
		}
	}
	return c
}
