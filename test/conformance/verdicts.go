package conformance

import (
	"fmt"
	"maps"

	"github.com/vifguard/vifguard/test/conformance/oracle"
)

// The verdicts: Pass, or the reason of a drop as the contract names it.
const (
	Pass       = "pass"
	MAC        = oracle.MAC
	VLAN       = oracle.VLAN
	EtherType  = oracle.EtherType
	ARP        = oracle.ARP
	ND         = oracle.ND
	DHCPServer = oracle.DHCPServer
	Router     = oracle.Router
	IP         = oracle.IP
	Malformed  = oracle.Malformed
	Blocked    = oracle.Blocked
)

// Verdicts say what becomes of one frame under every policy: a verdict for each
// level of checks, and exceptions for single policies. With the checks off every
// frame passes, and a blocked VIF sends nothing; that goes without saying.
type Verdicts struct {
	mac, arp, ip string
	exceptions   map[string]string
}

// each gives the verdicts of the levels mac; mac,arp; and mac,arp,ip.
func each(mac, arp, ip string) Verdicts { return Verdicts{mac: mac, arp: arp, ip: ip} }

// pass lets a frame pass at every level.
func pass() Verdicts { return each(Pass, Pass, Pass) }

// drop drops a frame as soon as there is any check.
func drop(reason string) Verdicts { return each(reason, reason, reason) }

// fromARP drops a frame when ARP and neighbour discovery are checked.
func fromARP(reason string) Verdicts { return each(Pass, reason, reason) }

// fromIP drops a frame when IP sources are checked.
func fromIP() Verdicts { return each(Pass, Pass, IP) }

// unreadable is the verdict on a frame in which a neighbour solicitation or
// advertisement may hide: its sender MAC can't be seen, nor can its claim.
func unreadable() Verdicts { return each(MAC, Malformed, Malformed) }

// invalid is the verdict on a solicitation or advertisement that no receiver accepts:
// what can't be its sender's counts as foreign, and as a claim it is none.
func invalid() Verdicts { return each(MAC, ND, ND) }

// in makes an exception for policies.
func (vs Verdicts) in(verdict string, policies ...string) Verdicts {
	exceptions := maps.Clone(vs.exceptions)
	if exceptions == nil {
		exceptions = map[string]string{}
	}
	for _, p := range policies {
		exceptions[p] = verdict
	}
	vs.exceptions = exceptions
	return vs
}

// Want returns the verdict under a policy. For a policy that observes it is what
// is counted while the frame passes.
func (vs Verdicts) Want(p *Policy) string {
	for _, name := range []string{p.Name, p.Like} {
		if verdict, ok := vs.exceptions[name]; ok {
			return verdict
		}
	}
	switch p.Level {
	case LevelOff:
		return Pass
	case LevelMAC:
		return vs.mac
	case LevelARP:
		return vs.arp
	case LevelIP:
		return vs.ip
	case LevelBlock:
		return Blocked
	}
	panic(fmt.Sprintf("policy %s has no level", p.Name))
}
