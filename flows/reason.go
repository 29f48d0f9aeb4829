package flows

import "fmt"

// Reason says why a packet is dropped. Each dropped packet has exactly one: that of
// the first stage that refused it.
type Reason uint8

// The reasons. Their numbers are part of the cookie layout and of the register that
// carries them, so they must never change.
const (
	NoReason Reason = iota
	MAC
	VLAN
	EtherType
	ARP
	ND
	DHCPServer
	Router
	IP
	Blocked
	UnknownPort
	Flood
)

var reasonNames = [...]string{
	"", "mac", "vlan", "ethertype", "arp", "nd", "dhcp-server", "router", "ip", "blocked", "unknown-port", "flood",
}

// String returns the reason's public name.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// Reasons returns the reasons that are counted per VIF, in the order of the stages,
// and last those that are about a VIF as a whole.
func Reasons() []Reason {
	return []Reason{VLAN, MAC, EtherType, ARP, ND, DHCPServer, Router, IP, Blocked, Flood}
}
