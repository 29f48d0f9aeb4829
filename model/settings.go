package model

import "strings"

// What a policy is made of can be given by several: the interface itself, the profile that
// it names, and the bridge. Each key is taken from the first of them that gives it.

// take makes what somebody gives for a key part of the policy, unless it comes from who
// was asked before. What is wrong with it is a problem in any case. where is the key that
// holds the value, origin says in words who gives it.
func (p *Policy) take(n int, where, value, origin string) {
	if keys[n].parse == nil {
		return
	}
	into := p
	if before := p.Origins.of(n); before != "" && before != origin {
		into = new(Policy)
	} else {
		p.Origins.set(n, origin)
	}
	keys[n].parse(into, where, value, &p.Problems)
}

// takeRow takes the interface's own keys.
func (p *Policy) takeRow(i *Interface) {
	for n := range keys {
		k := &keys[n]
		if !k.Is(OnInterface) {
			continue
		}
		name, value, ok := k.in(i.ExternalIDs)
		if !ok {
			continue
		}
		p.take(n, name, value, name)
		if other, ok := i.ExternalIDs[k.Alt]; ok && k.Alt != "" && name == k.Name && k.differs(value, other) {
			p.Problems.add(k.Alt, other, "differs from %s, which is used", k.Name)
		}
	}
}

// differs reports whether a usable value and another one mean different things.
func (k *Key) differs(value, other string) bool {
	same, ok := k.canonical(value)
	return ok && k.Canonical(other) != same
}

// takeProfile takes the words of the profile that the interface names.
func (p *Policy) takeProfile(name string, profile Profile) {
	if !profile.Known {
		p.Problems.add(KeyProfile, name, "is unknown (define it in Open_vSwitch external_ids as %sNAME, e.g. \"checks=mac,arp allow=router\")", ProfilePrefix)
		return
	}
	p.takeWords(InProfile, "profile", ProfilePrefix+name, profile.Words, "profile "+name)
}

// takeWords takes words such as checks=mac,arp, separated by spaces, that where holds. The
// last of equal ones counts. what is what they are words of.
func (p *Policy) takeWords(at Place, what, where, text, origin string) {
	for _, w := range limit(where, strings.Fields(text), &p.Problems) {
		word, value, _ := strings.Cut(w, "=")
		n := wordIndex(at, word)
		if n < 0 {
			p.Problems.add(where, w, "is not part of a %s (want words such as %s)", what, ExampleWords(at))
			continue
		}
		p.take(n, where, value, origin)
	}
}

// takeDefaults takes what the bridge gives for all its VIFs. What is wrong with that has
// been reported of the bridge.
func (p *Policy) takeDefaults(defaults []bridgeDefault) {
	for _, d := range defaults {
		p.takeDefault(d)
	}
}

func (p *Policy) takeDefault(d bridgeDefault) {
	if p.Origins.of(d.key) != "" {
		return
	}
	reported := len(p.Problems)
	p.take(d.key, keys[d.key].Name, d.value, originBridge)
	p.Problems = p.Problems[:reported]
}
