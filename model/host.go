package model

import "cmp"

// Host is one consistent view of the OVSDB of a host, reduced to the columns that
// vifguard reads. A Host and everything it points to is immutable once published:
// a change makes new values, so an unchanged pointer means an unchanged row.
type Host struct {
	Bridges   []*Bridge         // every bridge, guarded or not, sorted by name
	Profiles  map[string]string // profile name to its words, from Open_vSwitch.external_ids:port-security-profile-NAME
	Agent     string            // what the agent that last worked here wrote about itself
	OVNBridge string            // name of the bridge that OVN programs on this host; "" when there is no OVN
	Facts     *HostFacts        // what the whole switch is set to; never nil in a view of a database that has a root row
}

// Bridge is one row of OVSDB's Bridge table with the interfaces of all its ports.
type Bridge struct {
	UUID          string // row UUID
	Name          string
	ExternalIDs   map[string]string
	Protocols     []string     // the protocols column; empty means Open vSwitch's default, which includes OpenFlow13
	FailMode      string       // "standalone", "secure", or "" for unset (treated as standalone by Open vSwitch)
	HasController bool         // an OpenFlow controller is set
	Facts         BridgeFacts  // what else decides about its frames
	Interfaces    []*Interface // sorted by name, then UUID
}

// Interface is one row of OVSDB's Interface table. Its identity is the row's UUID:
// names and OpenFlow port numbers change and are reused.
type Interface struct {
	UUID        string // row UUID
	Name        string
	Port        string // name of the Port row that holds it; differs from Name for bonds
	Type        string // "", "internal", "patch", "vxlan", "dummy", ...
	OFPort      uint32 // OpenFlow port number; 0 while Open vSwitch has assigned none
	ExternalIDs map[string]string
	Facts       InterfaceFacts // what else decides about its frames
}

// CompareInterfaces is the order of [Bridge].Interfaces: by name, then UUID.
func CompareInterfaces(a, b *Interface) int {
	if a == b {
		return 0
	}
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UUID, b.UUID))
}

// Before reports whether a comes before b in that order.
func Before(a, b *Interface) bool { return CompareInterfaces(a, b) < 0 }

// SameInput reports whether two states of a row ask for the same rules: they differ at
// most in what the agent itself writes, and in facts, which change no rule.
func SameInput(a, b *Interface) bool {
	if a == b {
		return true
	}
	return a.UUID == b.UUID && a.Name == b.Name && a.Port == b.Port && a.Type == b.Type && a.OFPort == b.OFPort &&
		covers(a.ExternalIDs, b.ExternalIDs) && covers(b.ExternalIDs, a.ExternalIDs)
}

// covers reports whether b has all that a has, status keys aside.
func covers(a, b map[string]string) bool {
	for k, v := range a {
		if isStatusKey(k) {
			continue
		}
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// LocalPort is the OpenFlow port number of a bridge's own port (OFPP_LOCAL, OpenFlow
// 1.3 section A.2.1).
const LocalPort = 0xfffffffe

// Bridge returns the bridge of that name, or nil.
func (h *Host) Bridge(name string) *Bridge {
	for _, b := range h.Bridges {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// FindInterface returns the interface of that name and its bridge, or nil, nil.
// An interface name is unique within a host.
func (h *Host) FindInterface(name string) (*Bridge, *Interface) {
	for _, b := range h.Bridges {
		for _, i := range b.Interfaces {
			if i.Name == name {
				return b, i
			}
		}
	}
	return nil, nil
}
