package flows

import "github.com/vifguard/vifguard/model"

// Flags travel with a packet from the port stage on and say what its VIF's policy
// asks for, so that rules which don't depend on the VIF can be shared by all.
type Flags uint16

// The flags.
const (
	FlagARP        Flags = 1 << iota // ARP, ND and the guards are on
	FlagIP                           // IP sources are checked
	FlagDHCPServer                   // the DHCP server guard is lifted
	FlagRouter                       // the router guard is lifted
	FlagTagOK                        // a VLAN tag may pass
	FlagND                           // a solicitation or advertisement with good options, its claims still to be judged
	FlagVRRP                         // an NS or NA from the own MAC with a VRRP virtual MAC inside
	FlagLong                         // a solicitation or advertisement longer than the options that were seen
)

// Register 15 carries the flags in its lower half and the packet's blame in the third
// byte: the reason that counts if the stage at work finds no rule that lets the
// packet on.
const (
	Register = 15

	blameShift        = 16
	blameBits         = 8
	blameMask  uint32 = (1<<blameBits - 1) << blameShift
	flagsMask  uint32 = 1<<blameShift - 1
)

// LongBit is the bit of FlagLong in the register.
const LongBit = 7

// FlagMatch is a condition on the flags: all of Set are set, and none of Clear.
type FlagMatch struct{ Set, Clear Flags }

// register returns the value and mask that a match asks of the register.
func (m *Match) register() (value, mask uint32) {
	value = uint32(m.Flags.Set)
	mask = uint32(m.Flags.Set | m.Flags.Clear)
	if m.Blame != model.NoReason {
		value |= uint32(m.Blame) << blameShift
		mask |= blameMask
	}
	return value, mask
}
