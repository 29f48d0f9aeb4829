package model

// ContestedPorts returns the OpenFlow port numbers that more than one interface of a
// bridge claims. Open vSwitch gives each number once; somebody who writes the column by
// hand can claim another's until Open vSwitch corrects it.
func ContestedPorts(b *Bridge) map[uint32]bool {
	var low [maxPort / 64]uint64 // a set, which costs less than a map at every change
	var contested map[uint32]bool
	local := false
	for _, i := range b.Interfaces {
		n := i.OFPort
		twice := false
		switch {
		case n == 0:
		case n < maxPort:
			twice = low[n/64]&(1<<(n%64)) != 0
			low[n/64] |= 1 << (n % 64)
		case n == LocalPort:
			twice, local = local, true
		}
		if twice {
			if contested == nil {
				contested = make(map[uint32]bool)
			}
			contested[n] = true
		}
	}
	return contested
}

// maxPort is above every number of a port but [LocalPort] (OFPP_MAX of OpenFlow 1.0, which
// Open vSwitch keeps to).
const maxPort = 0xff00 + 64
