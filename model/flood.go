package model

import (
	"strconv"
	"strings"
)

// Flood is how many frames a second the switch may refuse of a VIF before the VIF is
// quarantined; 0 means that it never is.
type Flood uint32

// maxFlood is more than a guest can send through ovs-vswitchd's slow path.
const maxFlood = 1_000_000

// String returns the value of port-security-flood that means f.
func (f Flood) String() string {
	if f == 0 {
		return floodOff
	}
	return strconv.FormatUint(uint64(f), 10)
}

const floodOff = "off"

// parseFlood parses a value of port-security-flood. An unusable one counts as off: a
// quarantine stops good frames too, so none is guessed.
func parseFlood(key, value string, ps *Problems) Flood {
	value = strings.TrimSpace(value)
	if value == floodOff {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n < 1 || n > maxFlood {
		ps.addInstead(key, value, "off is used", "is not valid (want off, or how many refused frames a second lead to quarantine, 1 to %d)", maxFlood)
		return 0
	}
	return Flood(n)
}

// floodText says for people from how many refused frames on a VIF is quarantined.
func floodText(p *Policy) string {
	switch {
	case p.Flood == 0:
		return floodOff
	case p.FloodLimit() == 0:
		return p.Flood.String() + "/s, without effect"
	}
	return p.Flood.String() + " refused frames/s"
}

// FloodLimit returns how many frames a second the switch may refuse before the VIF is
// quarantined; 0 for a VIF that never is, because nothing of it is refused, or all.
func (p *Policy) FloodLimit() Flood {
	if p.Mode != Checked || p.Action != Enforce {
		return 0
	}
	return p.Flood
}
