package exposure

import (
	"fmt"
	"strings"
)

// maxNamed is how many ports a command of a finding names one by one.
const maxNamed = 3

// forPorts returns a command for each of some ports, or for the first ones and in words
// for the rest.
func forPorts(ports []string, command string) (list []string) {
	for i, p := range ports {
		if i == maxNamed {
			return append(list, fmt.Sprintf("and so for the other %d ports", len(ports)-i))
		}
		list = append(list, strings.ReplaceAll(command, "PORT", p))
	}
	return list
}

// spanningTree judges STP and RSTP: Open vSwitch takes BPDUs from a port that takes part
// before it looks at any flow.
func (j *judge) spanningTree() {
	f := j.Bridge.Facts
	if f.STP {
		j.spanning(STP, "stp-enable", j.names(func(v *VIF) bool { return !v.Facts.NoSTP() }))
	}
	if f.RSTP {
		j.spanning(RSTP, "rstp-enable", j.names(func(v *VIF) bool { return !v.Facts.NoRSTP() }))
	}
}

func (j *judge) spanning(kind Kind, key string, ports []string) {
	if len(ports) == 0 {
		return
	}
	j.add(Finding{
		Kind: kind, Severity: Exposed, Ports: ports, Guard: true,
		Guest: "sends BPDUs with any MAC, becomes the root of the spanning tree, and overhears others",
		Close: forPorts(ports, "ovs-vsctl set Port PORT other_config:"+key+"=false"),
	})
}

// linkProtocols judges what else is taken from a port before any flow. All of it was asked
// for at that very port.
func (j *judge) linkProtocols() {
	for _, p := range []struct {
		kind  Kind
		on    func(*VIF) bool
		guest string
		close string
	}{
		{BFD, func(v *VIF) bool { return v.Facts.BFD }, "sends BFD packets with any source and decides what the switch takes for alive", "ovs-vsctl clear Interface PORT bfd"},
		{CFM, func(v *VIF) bool { return v.Facts.CFM }, "sends CFM frames with any source and decides what the switch takes for alive", "ovs-vsctl clear Interface PORT cfm_mpid"},
		{LACP, func(v *VIF) bool { return v.Facts.LACP }, "sends LACP frames with any source and decides which links of a bond are used", "ovs-vsctl clear Port PORT lacp"},
		{LLDP, func(v *VIF) bool { return v.Facts.LLDP }, "sends LLDP frames with any source, and reads the switch's own", "ovs-vsctl clear Interface PORT lldp"},
	} {
		if ports := j.names(p.on); len(ports) > 0 {
			j.add(Finding{Kind: p.kind, Severity: Exposed, Ports: ports, Guest: p.guest, Close: forPorts(ports, p.close)})
		}
	}
}

// vlanLimit judges how many tags Open vSwitch reads. The stages rely on one: with more, a
// VIF that may send one tag sends two.
func (j *judge) vlanLimit() {
	limit := j.facts().VLANLimit
	ports := j.names(func(v *VIF) bool { return v.Tags })
	if limit == "" || limit == "1" || len(ports) == 0 {
		return
	}
	j.add(Finding{
		Kind: VLANLimit, Severity: Exposed, Ports: ports, Detail: "vlan-limit=" + limit,
		Guest: "sends frames with more than one VLAN tag, since Open vSwitch reads more than one and vifguard judges the first",
		Close: []string{"ovs-vsctl set Open_vSwitch . other_config:vlan-limit=1"},
	})
}

// snooping notes that a guest's IGMP or MLD queries, which are packets like others to the
// stages, make its port one that multicast goes to.
func (j *judge) snooping() {
	if !j.Bridge.Facts.McastSnooping || len(j.VIFs) == 0 {
		return
	}
	j.add(Finding{
		Kind: IGMPQuerier, Severity: Notice, All: true,
		Guest: "receives multicast groups that it never joined, after an IGMP or MLD query from its own address",
		Close: []string{"ovs-vsctl set Bridge " + j.Bridge.Name + " mcast_snooping_enable=false"},
	})
}

// datapath is the place for what the datapath itself can't hold: the type of the bridge,
// hw-offload, tc-policy and the datapath's capabilities are facts already.
func (j *judge) datapath() {
	if !strings.EqualFold(j.facts().HWOffload, "true") || j.Bridge.Facts.DatapathType == "netdev" {
		return
	}
	j.add(Finding{
		Kind: Datapath, Severity: Notice, All: true, Detail: "tc-policy=" + j.facts().TCPolicy,
		Guest: "sends frames that tc flower or a network card forwards, where malformed ones may be judged otherwise",
		Close: []string{"ovs-vsctl remove Open_vSwitch . other_config hw-offload", "systemctl restart openvswitch-switch"},
	})
}
