package model

import (
	"cmp"
	"maps"
	"slices"
)

// Facts are what OVSDB says about a switch beside the metadata of VIFs: they change no
// rule, and decide whether frames can pass around the rules. They are reduced to what is
// judged, so that nothing else in their columns wakes anybody. Names of columns are those
// of ovs-vswitchd.conf.db(5).

// Remote is a row of the tables Controller or Manager: a peer that programs a bridge or
// writes the database.
type Remote struct {
	Target    string // e.g. "tcp:192.0.2.1:6653", "ptcp:6640", "unix:/run/x.sock"
	OutOfBand bool   // connection_mode is "out-of-band"; the default is in-band
	Connected bool   // is_connected; Open vSwitch writes it some seconds late
	Service   bool   // a Controller that fail_mode doesn't look at: of type "service", as those that Open vSwitch listens for are
}

// CompareRemotes is the order of lists of Remotes: by target, then flag by
// flag.
func CompareRemotes(a, b Remote) int {
	no := func(flag bool) int {
		if flag {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Target, b.Target), no(a.OutOfBand)-no(b.OutOfBand), no(a.Connected)-no(b.Connected), no(a.Service)-no(b.Service))
}

// HostFacts are facts of the Open_vSwitch row and of what it refers to.
type HostFacts struct {
	Managers  []Remote // manager_options, sorted
	VLANLimit string   // other_config:vlan-limit, "" for unset (1)
	HWOffload string   // other_config:hw-offload, "" for unset (false)
	TCPolicy  string   // other_config:tc-policy, "" for unset (none)

	// Capabilities are Datapath.capabilities by type of datapath, "system" or "netdev". A
	// type that isn't a key is unreadable: the datapath isn't in use, or Open vSwitch is
	// older than 2.14, which wrote them first.
	Capabilities map[string]map[string]string
}

// BridgeFacts are facts of a Bridge row and of what it refers to.
type BridgeFacts struct {
	DatapathType  string // "" and "system" are the kernel's, "netdev" is userspace
	DisableInBand string // other_config:disable-in-band; "" for unset, which is false
	STP, RSTP     bool   // stp_enable, rstp_enable
	McastSnooping bool   // mcast_snooping_enable
	Controllers   []Remote
	Mirrors       []Mirror // sorted by name
}

// Mirror is a row of the table Mirror, with the names of the ports that it refers to. What
// it selects by the port that frames go to was accepted before, and is left out.
type Mirror struct {
	Name       string
	All        bool     // select_all
	From       []string // select_src_port: frames that these ports send
	Output     string   // output_port, "" for none
	OutputVLAN int      // output_vlan, 0 for none
}

// InterfaceFacts are facts of an Interface row and of its Port row.
type InterfaceFacts struct {
	PortUUID string // of the Port row

	// Protocols that Open vSwitch speaks at the port before any OpenFlow table.
	STP, RSTP string // Port's other_config:stp-enable, rstp-enable; "" for unset, which is true
	Closed    string // Port's external_ids:vifguard-closed, see [KeyClosed]
	LACP      bool   // Port's lacp is "active" or "passive"
	BFD       bool   // bfd:enable
	CFM       bool   // cfm_mpid is set
	LLDP      bool   // lldp:enable

	RemoteIP, LocalIP string // options:remote_ip, local_ip: of tunnels
}

// Equal reports whether two hosts' facts are the same. Nil is nothing known.
func (f *HostFacts) Equal(o *HostFacts) bool {
	if f == nil || o == nil {
		return f == o
	}
	return f.VLANLimit == o.VLANLimit && f.HWOffload == o.HWOffload && f.TCPolicy == o.TCPolicy &&
		slices.Equal(f.Managers, o.Managers) && maps.EqualFunc(f.Capabilities, o.Capabilities, maps.Equal)
}

// Equal reports whether two bridges' facts are the same.
func (f *BridgeFacts) Equal(o *BridgeFacts) bool {
	return f.DatapathType == o.DatapathType && f.DisableInBand == o.DisableInBand &&
		f.STP == o.STP && f.RSTP == o.RSTP && f.McastSnooping == o.McastSnooping &&
		slices.Equal(f.Controllers, o.Controllers) && slices.EqualFunc(f.Mirrors, o.Mirrors, Mirror.equal)
}

func (m Mirror) equal(o Mirror) bool {
	return m.Name == o.Name && m.All == o.All && slices.Equal(m.From, o.From) &&
		m.Output == o.Output && m.OutputVLAN == o.OutputVLAN
}
