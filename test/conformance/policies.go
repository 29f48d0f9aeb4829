package conformance

import (
	"github.com/vifguard/vifguard/model"
)

// Level says which checks a policy has on. Each includes those before it.
type Level int

// The levels.
const (
	LevelOff Level = iota
	LevelMAC
	LevelARP
	LevelIP
	LevelBlock
)

// Policy is a way to guard a VIF, as an orchestrator would write it.
type Policy struct {
	Name  string
	Level Level
	// Like names the policy whose verdicts this one has, unless the table says
	// otherwise.
	Like string
	// Observe says that everything passes, and is only counted.
	Observe bool
	// Keys are Interface.external_ids, with the placeholders of VIF.expand.
	Keys map[string]string
}

// ExternalIDs returns the Interface.external_ids of a VIF that has the policy.
func (p *Policy) ExternalIDs(v *VIF) map[string]string {
	ids := make(map[string]string, len(p.Keys))
	for key, value := range p.Keys {
		ids[key] = v.expand(value)
	}
	return ids
}

// Resolve returns what vifguard's model makes of the policy.
func (p *Policy) Resolve(v *VIF) model.Policy { return resolve(p.ExternalIDs(v)) }

// resolve returns what vifguard's model makes of the keys of an interface.
func resolve(ids map[string]string) model.Policy {
	bridge := model.ResolveBridge(&model.Bridge{Name: "br0", ExternalIDs: map[string]string{model.KeyChecks: "auto"}})
	return model.Resolve(&bridge, nil, &model.Interface{Name: "vif", ExternalIDs: ids})
}

// strict are the keys of a VIF with one address of each family and all checks,
// beside further keys in pairs of name and value.
func strict(further ...string) map[string]string {
	keys := map[string]string{
		model.KeyAttachedMAC: "{MAC}",
		model.KeyAddresses:   "{Own4} {Own6}",
		model.KeyChecks:      "mac,arp,ip",
	}
	for i := 0; i < len(further); i += 2 {
		keys[further[i]] = further[i+1]
	}
	return keys
}

// Policies returns the policies under which every frame is judged.
func Policies() []Policy {
	own := "{MAC}"
	return []Policy{
		{Name: "off", Level: LevelOff, Keys: map[string]string{
			model.KeyAttachedMAC: own, model.KeyChecks: "off"}},
		{Name: "block", Level: LevelBlock, Keys: strict(model.KeyChecks, "block")},
		{Name: "bad-mac", Level: LevelBlock, Keys: strict(model.KeyAttachedMAC, "52:54:00")},
		{Name: "observe-block", Level: LevelBlock, Observe: true, Keys: strict(
			model.KeyChecks, "block", model.KeyAction, "observe")},

		{Name: "mac", Level: LevelMAC, Keys: map[string]string{
			model.KeyAttachedMAC: own, model.KeyChecks: "mac"}},
		{Name: "auto-none", Level: LevelMAC, Like: "mac", Keys: map[string]string{
			model.KeyAttachedMAC: own, model.KeyChecks: "auto"}},
		{Name: "observe-mac", Level: LevelMAC, Like: "mac", Observe: true, Keys: map[string]string{
			model.KeyAttachedMAC: own, model.KeyChecks: "mac", model.KeyAction: "observe"}},
		{Name: "mac-pair", Level: LevelMAC, Keys: map[string]string{
			model.KeyAttachedMAC: own, model.KeyChecks: "mac", model.KeyPairs: "{Other4}@{Other}"}},
		{Name: "mac-trunk", Level: LevelMAC, Keys: map[string]string{
			model.KeyAttachedMAC: own, model.KeyChecks: "mac", model.KeyAllow: "vlan-trunk"}},

		{Name: "firewall", Level: LevelARP, Keys: strict(model.KeyChecks, "mac,arp")},

		{Name: "strict", Level: LevelIP, Keys: strict()},
		{Name: "auto", Level: LevelIP, Like: "strict", Keys: strict(model.KeyChecks, "auto")},
		{Name: "observe", Level: LevelIP, Like: "strict", Observe: true, Keys: strict(model.KeyAction, "observe")},
		{Name: "pairs", Level: LevelIP, Keys: strict(model.KeyPairs,
			"{Net4},{Net6},{Pair4},{Pair6},{Other4}@{Other},{Other6}@{Other}")},
		{Name: "zero", Level: LevelIP, Like: "strict", Keys: strict(model.KeyPairs, "0.0.0.0/8,::/16")},
		{Name: "any", Level: LevelIP, Keys: strict(model.KeyPairs, "0.0.0.0/0,::/0")},
		{Name: "halves", Level: LevelIP, Like: "any", Keys: strict(model.KeyPairs, "0.0.0.0/1,128.0.0.0/1,::/1,8000::/1")},
		{Name: "vrrp", Level: LevelIP, Keys: strict(model.KeyPairs,
			"{Virtual4}@{VMAC4},{Virtual6}@{VMAC6}")},
		{Name: "dhcp-server", Level: LevelIP, Keys: strict(model.KeyAllow, "dhcp-server")},
		{Name: "router", Level: LevelIP, Keys: strict(model.KeyAllow, "router")},
		{Name: "priority-tag", Level: LevelIP, Keys: strict(model.KeyAllow, "priority-tag")},
		{Name: "vlan-trunk", Level: LevelIP, Keys: strict(model.KeyAllow, "vlan-trunk")},
		{Name: "lldp", Level: LevelIP, Keys: strict(model.KeyAllow, "ethertype:0x88cc")},
	}
}
