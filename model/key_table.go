package model

import "fmt"

// Names of the metadata keys, each of which has a row in the table below.
const (
	KeyAttachedMAC    = "attached-mac"          // one MAC address, the VIF's own
	KeyAttachedMACAlt = "attached_mac"          // other spelling of KeyAttachedMAC, used when that is absent
	KeyAddresses      = "allowed-addresses"     // addresses and prefixes the VIF owns with its own MAC
	KeyPairs          = "allowed-address-pairs" // further addresses, each optionally with a MAC of its own
	KeyChecks         = "port-security"         // which checks are on; on a Bridge: opts in and sets the default
	KeyAction         = "port-security-action"  // enforce or observe; on a Bridge: the default
	KeyAllow          = "port-security-allow"   // guards that are lifted
	KeyFlood          = "port-security-flood"   // refused frames per second that lead to quarantine, or off; on a Bridge: the default
	KeyFor            = "port-security-for"     // the MAC whom the other keys were written for
	KeySeq            = "port-security-seq"     // echoed as KeyStatusSeq once in force
	KeyProfile        = "port-profile"          // name of a profile in Open_vSwitch.external_ids

	KeyUnmarked   = "port-security-unmarked"    // block: ports without any VIF key are blocked
	KeyFirstTable = "port-security-first-table" // OpenFlow table of the first stage
	KeyExitTable  = "port-security-exit-table"  // accepted packets are resubmitted there instead of NORMAL
)

// defaultOf starts the usage of flags whose key on a Bridge is the default of its VIFs.
const defaultOf = "default for VIFs without a key of their own: "

// keys is the table of all metadata keys, in the order in which documents list them.
// Parsing, flags, completion, the words of profiles, libvirt's attributes, explain and the
// documents follow from it. A key that a policy depends on has a field in [Policy].
var keys = []Key{
	{
		Name: KeyAttachedMAC, Alt: KeyAttachedMACAlt, Word: "mac", Flag: "mac",
		At: OnInterface | InDeclaration, Label: "MAC", None: "none", Optional: true,
		Usage: "the VIF's own MAC",
		Doc:   "the VIF's own MAC",
		parse: func(p *Policy, where, v string, ps *Problems) { p.MAC = parseOwnMAC(where, v, ps) },
		value: func(p *Policy) string {
			if p.MAC == (MAC{}) {
				return ""
			}
			return p.MAC.String()
		},
		canonical: canonicalMAC,
	},
	{
		Name: KeyAddresses, Word: "addresses", Flag: "address", List: true,
		At:    OnInterface | InDeclaration | InLibvirt,
		Usage: "address or prefix that it owns",
		Doc:   "addresses and prefixes that it owns, separated by commas or spaces",
		parse: func(p *Policy, where, v string, ps *Problems) {
			p.Bindings = append(p.Bindings, parseAddresses(where, v, ps)...)
		},
	},
	{
		Name: KeyPairs, Word: "pairs", Flag: "pair", List: true,
		At:    OnInterface | InDeclaration | InLibvirt,
		Usage: "further address or prefix, IP[/LEN] or IP[/LEN]@MAC",
		Doc:   "further ones: `IP[/LEN]` or `IP[/LEN]@MAC`, separated by commas only, or Neutron's JSON list. A prefix shorter than /8 (IPv4) or /16 (IPv6) widens the check of IP sources only",
		parse: func(p *Policy, where, v string, ps *Problems) {
			p.Bindings = append(p.Bindings, parsePairs(where, v, ps)...)
		},
	},
	{
		Name: KeyChecks, Word: "checks", Flag: "checks",
		At: OnInterface | InProfile | InDeclaration | OnBridge | InLibvirt, Label: "checks",
		Values: checksWords, Example: "mac,arp",
		Usage:       oneOf(checksWords),
		BridgeUsage: defaultOf + "auto, mac, mac,arp, mac,arp,ip or block",
		Doc:         "`auto`, `mac`, `mac,arp`, `mac,arp,ip`, `off` or `block`; missing: the bridge's value. `auto` is `mac`, and all three once `allowed-addresses` or `allowed-address-pairs` is there, whatever can be used of it",
		BridgeDoc:   "opts the bridge in, and is its VIFs' default; `off` or missing leaves it alone",
		parse:       func(p *Policy, where, v string, ps *Problems) { p.Checks = parseChecks(where, v, ps) },
		value:       func(p *Policy) string { return p.Checks.String() },
		text:        checksText,
	},
	{
		Name: KeyAction, Word: "action", Flag: "action",
		At: OnInterface | InProfile | InDeclaration | OnBridge | InLibvirt, Label: "action",
		Values: actionWords, Example: "observe",
		Usage:       oneOf(actionWords),
		BridgeUsage: defaultOf + oneOf(actionWords),
		Doc:         "`enforce` or `observe`; missing: the profile's value, then the bridge's, then `enforce`",
		BridgeDoc:   "default of its VIFs, and of the ports that `port-security-unmarked` blocks. What is neither `enforce` nor `observe` counts as `enforce`, and every VIF reports it",
		parse:       func(p *Policy, where, v string, ps *Problems) { p.Action = parseAction(where, v, ps) },
		value:       func(p *Policy) string { return p.Action.String() },
	},
	{
		Name: KeyAllow, Word: "allow", Flag: "allow", List: true,
		At: OnInterface | InProfile | InDeclaration | InLibvirt, Label: "guards lifted", None: "none", Optional: true,
		Values: allowWords, Example: "router,dhcp-server",
		Usage: "guard to lift: " + allowNames,
		Doc:   "guards to lift: `dhcp-server`, `router`, `priority-tag`, `vlan-trunk`, `ethertype:0xNNNN`",
		parse: func(p *Policy, where, v string, ps *Problems) { p.Allow = parseAllow(where, v, ps) },
		value: func(p *Policy) string { return p.Allow.String() },
	},
	{
		Name: KeyFlood, Word: "flood", Flag: "flood",
		At: OnInterface | InProfile | InDeclaration | OnBridge | InLibvirt, Label: "flood limit", None: floodOff,
		Values: []string{floodOff, "1000"}, Example: "1000",
		Usage:       "refused frames per second that lead to quarantine, or off",
		BridgeUsage: defaultOf + "refused frames per second that lead to quarantine, or off",
		Doc: fmt.Sprintf("`off`, or how many refused frames a second lead to quarantine, 1 to %d: nothing of the VIF passes for a while ([docs/floods.md](docs/floods.md)); "+
			"missing: the profile's value, then the bridge's, then `off`, as which an unusable value counts too. No effect with `observe`", maxFlood),
		BridgeDoc: "default of its VIFs",
		parse:     func(p *Policy, where, v string, ps *Problems) { p.Flood = parseFlood(where, v, ps) },
		value:     func(p *Policy) string { return p.Flood.String() },
		text:      floodText,
	},
	{
		Name: KeyFor, Flag: "for", At: OnInterface,
		Usage: "MAC whom this is written for: with another attached-mac it doesn't count",
		Doc:   "a MAC: the other keys were written for this VIF. While `attached-mac` is another one, all but that count as absent, and the error says so: names of ports are used again",
	},
	{
		Name: KeySeq, Flag: "seq", At: OnInterface,
		Usage: "string that the agent echoes as vifguard-seq once this is in force",
		Doc:   "echoed as `vifguard-seq` once this row is in force",
	},
	{
		Name: KeyProfile, Word: "profile", Flag: "profile", At: OnInterface | InDeclaration,
		Usage: "profile whose words hold where the VIF has no key of its own",
		Doc:   "a profile, whose words hold where the interface has no key of its own; libvirt writes it from `profileid`",
	},
	{
		Name: KeyUnmarked, Flag: "unmarked", At: OnBridge, Values: unmarkedWords,
		BridgeUsage: "ports without any vifguard key: trust or block",
		BridgeDoc:   "`block`: ports without any key are blocked, except patch ports, tunnels and the bridge's own. What is neither `trust` nor `block` counts as `block`",
		parseBridge: (*BridgeConfig).parseUnmarked,
	},
	{
		Name: KeyFirstTable, Flag: "first-table", At: OnBridge, Number: true,
		BridgeUsage: "OpenFlow table of the first stage",
		BridgeDoc:   fmt.Sprintf("table of the first stage, 0 to %d; your own flows before it send packets there", maxFirstTable),
		parseBridge: (*BridgeConfig).parseFirstTable,
	},
	{
		Name: KeyExitTable, Flag: "exit-table", At: OnBridge, Number: true,
		BridgeUsage: "OpenFlow table that accepted packets go to instead of NORMAL",
		BridgeDoc:   "accepted packets are resubmitted there instead of to `NORMAL`",
		parseBridge: (*BridgeConfig).parseExitTable,
	},
}
