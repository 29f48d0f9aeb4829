package model

import "slices"

// isFor reports whether a row's keys count for the VIF with a MAC: they were written for
// it, or for nobody in particular.
func (i *Interface) isFor(mac MAC) bool {
	whom, ok := i.ExternalIDs[KeyFor]
	if !ok {
		return true
	}
	m, err := ParseMAC(whom)
	return err == nil && m == mac
}

// attachedMAC returns the MAC of the VIF among external_ids, if there is a usable one.
func attachedMAC(ids map[string]string) (MAC, bool) {
	_, value, ok := keys[keyIndex(KeyAttachedMAC)].in(ids)
	mac, err := ParseMAC(value)
	return mac, ok && err == nil
}

// Stamp completes a change of a row's keys by who writes them: set also says whom the keys
// are for, the MAC that will be attached, and del also names the keys that the row has from
// another VIF, as names of ports are used again: they would count for this one. A change
// that sets nothing stays as it is.
func (i *Interface) Stamp(set map[string]string, del []string) (map[string]string, []string) {
	if len(set) == 0 {
		return set, del
	}
	after := make(map[string]string, len(i.ExternalIDs)+len(set)+1)
	for k, v := range i.ExternalIDs {
		if !slices.Contains(del, k) {
			after[k] = v
		}
	}
	stamped := make(map[string]string, len(set)+1)
	for k, v := range set {
		after[k], stamped[k] = v, v
	}
	then, hadMAC := attachedMAC(i.ExternalIDs)
	mac, hasMAC := attachedMAC(after)
	if (!hadMAC || !i.isFor(then)) && (!hasMAC || !i.isFor(mac)) && i.ExternalIDs[KeyFor] != "" {
		del = append(slices.Clone(del), i.KeysBeside(set)...)
	}
	if _, given := set[KeyFor]; !given && hasMAC && i.hasOthers(set, del) {
		stamped[KeyFor] = mac.String()
	}
	return stamped, del
}

// KeysBeside returns the keys of the contract that a row has, but its MAC and those that are
// kept.
func (i *Interface) KeysBeside(kept map[string]string) (names []string) {
	for _, name := range InputKeys() {
		_, has := i.ExternalIDs[name]
		_, keep := kept[name]
		if has && !keep && name != KeyAttachedMAC && name != KeyAttachedMACAlt {
			names = append(names, name)
		}
	}
	return names
}

// hasOthers reports whether a row has any key but its MAC after a change.
func (i *Interface) hasOthers(set map[string]string, del []string) bool {
	left := slices.DeleteFunc(i.KeysBeside(nil), func(name string) bool { return name == KeyFor || slices.Contains(del, name) })
	_, mac := set[KeyAttachedMAC]
	return len(left) > 0 || len(set) > 1 || !mac
}
