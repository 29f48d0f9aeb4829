package exposure

import (
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Input is all that is known of one guarded bridge.
type Input struct {
	Host   *model.Host   // of which Bridge is one
	Bridge *model.Bridge // the guarded one
	Stages flows.Pipeline
	VIFs   []VIF // sorted by name

	// Foreign are the flows of all tables that aren't vifguard's, in any order; FlowsErr
	// says why they couldn't be read.
	Foreign  []flows.Entry
	FlowsErr error

	Hidden Hidden

	// Addresses are those of the host's network devices by name, nil when they are unknown.
	Addresses map[string][]netip.Prefix
}

// VIF is a port whose frames are checked or blocked.
type VIF struct {
	Name   string
	Port   string // name of its Port row, which differs for bonds
	InPort uint32 // 0 while it has none
	Facts  model.InterfaceFacts
	IP     bool // the ip check is on
	Tags   bool // priority-tag or vlan-trunk is lifted
}

// VIFs returns the VIFs among a bridge's interfaces that anything is checked of, by their
// policies, which are parallel.
func VIFs(rows []*model.Interface, policies []*model.Policy) []VIF {
	list := make([]VIF, 0, len(rows))
	for i, row := range rows {
		p := policies[i]
		if p == nil || p.Mode == model.Trusted || p.Mode == model.Off {
			continue
		}
		list = append(list, VIF{
			Name: row.Name, Port: row.Port, InPort: row.OFPort, Facts: row.Facts,
			IP: p.Mode == model.Blocked || p.Checks.IP(), Tags: p.Allow.PriorityTag || p.Allow.VLANTrunk,
		})
	}
	return list
}

// Judge returns what lets frames of the bridge's VIFs pass around the stages, and what is
// worth knowing, in the order of [Compare]. It is a function of its input.
func Judge(in *Input) []Finding {
	j := &judge{Input: in}
	j.hidden()
	j.failMode()
	j.flows()
	j.spanningTree()
	j.linkProtocols()
	j.tunnels()
	j.vlanLimit()
	j.snooping()
	j.mirrors()
	j.datapath()
	slices.SortFunc(j.findings, Compare)
	return j.findings
}

type judge struct {
	*Input
	findings []Finding
}

func (j *judge) add(f Finding) {
	slices.Sort(f.Ports)
	j.findings = append(j.findings, f)
}

// names returns the names of the VIFs for which is holds, sorted.
func (j *judge) names(is func(*VIF) bool) (list []string) {
	for i := range j.VIFs {
		if is(&j.VIFs[i]) {
			list = append(list, j.VIFs[i].Name)
		}
	}
	return list
}

// facts of the host; none known are those of an empty database.
func (j *judge) facts() *model.HostFacts {
	if j.Host == nil || j.Host.Facts == nil {
		return &model.HostFacts{}
	}
	return j.Host.Facts
}
