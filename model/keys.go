package model

import "strings"

// KeyUnguarded is the key of Bridge.external_ids in which the agent says when and for how
// long a bridge last forwarded unchecked.
const KeyUnguarded = "vifguard-unguarded"

// KeyAgent is the key of Open_vSwitch.external_ids in which the agent names itself.
const KeyAgent = "vifguard-agent"

// ProfilePrefix starts the keys of Open_vSwitch.external_ids that define a profile.
const ProfilePrefix = "port-security-profile-"

// Keys of Interface.external_ids that the agent writes; [Status] says what.
const (
	KeyStatusState  = "vifguard-state"
	KeyStatusChecks = "vifguard-checks"
	KeyStatusError  = "vifguard-error"
	KeyStatusSeq    = "vifguard-seq"
	KeyStatusFlood  = "vifguard-flood"
)

// Place is where a key can be given; a sum of places is a set of them.
type Place uint8

// The places.
const (
	OnInterface   Place = 1 << iota // Interface.external_ids: it makes the interface a VIF
	InProfile                       // a word of a profile: a default holds where nobody gives it
	InDeclaration                   // a word of a declaration
	OnBridge                        // Bridge.external_ids
	InLibvirt                       // an attribute of a port in a libvirt domain's metadata
)

// Key is one metadata key: what it is called and what it means, wherever it can be given
// and shown. Each is a row of the table in key_table.go.
type Key struct {
	Name     string // in external_ids
	Alt      string // another name that others write, read when Name is absent; "" for none
	Word     string // in profiles, declarations, libvirt's metadata and explain's JSON
	Flag     string // of vifguard set and guard; "" for none
	At       Place  // where it can be given
	List     bool   // its value is a list, separated by commas
	Number   bool   // its value is a whole number
	Values   []string
	Example  string // a value, for a message about words
	Label    string // in the table of vifguard explain; "" keeps it out
	None     string // what explain shows when a policy has nothing of it
	Optional bool   // explain's JSON leaves it out when a policy has nothing of it

	Usage       string // of the flag of vifguard set
	BridgeUsage string // of the flag of vifguard guard
	Doc         string // its value on an Interface, in Markdown
	BridgeDoc   string // its value on a Bridge, in Markdown

	// parse makes a value part of a policy. where is the key that holds the value, to
	// which problems belong. It is nil for keys that aren't part of a policy.
	parse func(p *Policy, where, value string, ps *Problems)
	// parseBridge makes a value part of a bridge's own settings; nil for keys that are
	// defaults of its VIFs.
	parseBridge func(c *BridgeConfig, value string)
	value       func(p *Policy) string                    // what a policy has of it, as the key would give it; "" for nothing
	text        func(p *Policy) string                    // the same for people; nil if there is nothing to add
	canonical   func(value string) (same string, ok bool) // the one notation of a value; nil where the given one stays
}

// Is reports whether the key can be given in any of the places.
func (k *Key) Is(at Place) bool { return k.At&at != 0 }

// HasDefault reports whether something holds where nobody gives the key.
func (k *Key) HasDefault() bool { return k.Is(InProfile) }

// Names returns the names of the key in external_ids, its own first.
func (k *Key) Names() []string {
	if k.Alt == "" {
		return []string{k.Name}
	}
	return []string{k.Name, k.Alt}
}

// Canonical returns a value in the notation that other readers of the key know best, or
// as it is when it can't be used.
func (k *Key) Canonical(value string) string {
	if k.canonical != nil {
		if same, ok := k.canonical(value); ok {
			return same
		}
	}
	return value
}

// in returns the key's value among external_ids, and the name under which it is there.
func (k *Key) in(ids map[string]string) (name, value string, ok bool) {
	if value, ok = ids[k.Name]; ok || k.Alt == "" {
		return k.Name, value, ok
	}
	value, ok = ids[k.Alt]
	return k.Alt, value, ok
}

// Keys returns the keys that can be given in any of the places, in the order in which
// documents list them.
func Keys(at Place) []*Key {
	var all []*Key
	for i := range keys {
		if keys[i].Is(at) {
			all = append(all, &keys[i])
		}
	}
	return all
}

// keyIndex returns the place of a key in the table; -1 if there is none of that name.
func keyIndex(name string) int {
	for n := range keys {
		if keys[n].Name == name {
			return n
		}
	}
	return -1
}

// wordIndex returns the place in the table of the key that a word stands for; -1 if there
// is none that can be given there.
func wordIndex(at Place, word string) int {
	for n := range keys {
		if keys[n].Is(at) && keys[n].Word == word {
			return n
		}
	}
	return -1
}

// ExampleWords are words as they can be given in a profile or in a declaration.
func ExampleWords(at Place) string {
	var words []string
	for _, k := range Keys(at) {
		if k.Example != "" {
			words = append(words, k.Word+"="+k.Example)
		}
	}
	return strings.Join(words, " ")
}

// KeyNames returns all names of the keys that can be given in any of the places.
func KeyNames(at Place) []string {
	var names []string
	for _, k := range Keys(at) {
		names = append(names, k.Names()...)
	}
	return names
}

// InputKeys returns the Interface keys that make an interface a VIF.
func InputKeys() []string { return KeyNames(OnInterface) }

// IsVIF reports whether the interface carries any key that makes it a VIF.
func (i *Interface) IsVIF() bool {
	for n := range keys {
		if keys[n].Is(OnInterface) {
			if _, _, ok := keys[n].in(i.ExternalIDs); ok {
				return true
			}
		}
	}
	return false
}

// vmIDKeys are the keys under which orchestrators name the VM of an interface, in
// order of preference: OVN and libvirt, OpenStack, xapi.
var vmIDKeys = [...]string{"vm-id", "vm-uuid", "xs-vm-uuid", "iface-id"}

// VMID returns the identifier by which the orchestrator knows the guest of an
// interface, or "" when it wrote none.
func (i *Interface) VMID() string {
	for _, k := range vmIDKeys {
		if v := i.ExternalIDs[k]; v != "" {
			return v
		}
	}
	return ""
}

// splitWords splits a list at commas and white space and drops empty words.
func splitWords(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	})
}

// oneOf lists words in a sentence: "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
