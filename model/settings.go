package model

import "strings"

// settings are the parts of a policy that an interface, a profile or a bridge can
// set. A part that isn't set keeps its undefined value and an empty origin.
type settings struct {
	checks       Checks
	checksOrigin string
	action       Action
	actionOrigin string
	allow        Allow
	allowOrigin  string
	flood        Flood
	floodOrigin  string
}

// unset returns settings in which nothing is set.
func unset() settings {
	return settings{checks: checkUndefined, action: actionUndefined}
}

// orElse fills what s leaves open from t.
func (s settings) orElse(t settings) settings {
	if s.checksOrigin == "" {
		s.checks, s.checksOrigin = t.checks, t.checksOrigin
	}
	if s.actionOrigin == "" {
		s.action, s.actionOrigin = t.action, t.actionOrigin
	}
	if s.allowOrigin == "" {
		s.allow, s.allowOrigin = t.allow, t.allowOrigin
	}
	if s.floodOrigin == "" {
		s.flood, s.floodOrigin = t.flood, t.floodOrigin
	}
	return s
}

// ownSettings reads the keys of the interface itself.
func ownSettings(i *Interface, ps *Problems) settings {
	s := unset()
	if v, ok := i.ExternalIDs[KeyChecks]; ok {
		s.checks, s.checksOrigin = parseChecks(KeyChecks, v, ps), KeyChecks
	}
	if v, ok := i.ExternalIDs[KeyAction]; ok {
		s.action, s.actionOrigin = parseAction(KeyAction, v, ps), KeyAction
	}
	if v, ok := i.ExternalIDs[KeyAllow]; ok {
		s.allow, s.allowOrigin = parseAllow(KeyAllow, v, ps), KeyAllow
	}
	if v, ok := i.ExternalIDs[KeyFlood]; ok {
		s.flood, s.floodOrigin = parseFlood(KeyFlood, v, ps), KeyFlood
	}
	return s
}

// bridgeSettings are what the bridge sets for all its ports.
func bridgeSettings(b *Settings) settings {
	s := settings{checks: b.Default, checksOrigin: originBridge}
	if b.ActionSet {
		s.action, s.actionOrigin = b.Action, originBridge
	}
	if b.FloodSet {
		s.flood, s.floodOrigin = b.Flood, originBridge
	}
	return s
}

// profileSettings reads the words of a profile: checks=, action=, allow= and flood=.
func profileSettings(name string, profile Profile, ps *Problems) settings {
	s := unset()
	if !profile.Known {
		ps.add(KeyProfile, name, "is unknown (define it in Open_vSwitch external_ids as %sNAME, e.g. \"checks=mac,arp allow=router\")", ProfilePrefix)
		return s
	}
	key := ProfilePrefix + name
	origin := "profile " + name
	for _, w := range limit(key, strings.Fields(profile.Words), ps) {
		word, value, _ := strings.Cut(w, "=")
		switch word {
		case "checks":
			s.checks, s.checksOrigin = parseChecks(key, value, ps), origin
		case "action":
			s.action, s.actionOrigin = parseAction(key, value, ps), origin
		case "allow":
			s.allow, s.allowOrigin = parseAllow(key, value, ps), origin
		case "flood":
			s.flood, s.floodOrigin = parseFlood(key, value, ps), origin
		default:
			ps.add(key, w, "is not part of a profile (want words such as checks=mac,arp action=observe allow=router,dhcp-server flood=1000)")
		}
	}
	return s
}
