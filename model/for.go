package model

// keysFor returns a row as it counts: the row itself, or, when its keys were written for
// another MAC than the one that is attached, what is left of it. A tap's name that is used
// again may bring the keys of the VM that had it before.
func (i *Interface) keysFor(ps *Problems) *Interface {
	whom, ok := i.ExternalIDs[KeyFor]
	if !ok {
		return i
	}
	own := &keys[keyIndex(KeyAttachedMAC)]
	name, attached, ok := own.in(i.ExternalIDs)
	wanted, err := ParseMAC(whom)
	mac, errAttached := ParseMAC(attached)
	switch {
	case err != nil:
		ps.addInstead(KeyFor, whom, "no other key of the row counts", "%v", err)
	case !ok:
		ps.addInstead(KeyFor, whom, "no other key of the row counts", "has no %s beside it (want that MAC there)", KeyAttachedMAC)
	case errAttached != nil || mac != wanted:
		ps.addInstead(KeyFor, whom, "the keys were written for another VIF, and none but "+name+" counts", "isn't the %s (want %s)", name, attached)
	default:
		return i
	}
	left := *i
	left.ExternalIDs = make(map[string]string)
	for _, name := range own.Names() {
		if value, ok := i.ExternalIDs[name]; ok {
			left.ExternalIDs[name] = value
		}
	}
	return &left
}
