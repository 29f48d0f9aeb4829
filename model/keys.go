package model

import (
	"slices"
	"strings"
)

// Keys of Interface.external_ids that declare what a VIF may be.
const (
	KeyAttachedMAC    = "attached-mac"          // one MAC address, the VIF's own
	KeyAttachedMACAlt = "attached_mac"          // other spelling of KeyAttachedMAC, used when that is absent
	KeyAddresses      = "allowed-addresses"     // addresses and prefixes the VIF owns with its own MAC
	KeyPairs          = "allowed-address-pairs" // further addresses, each optionally with a MAC of its own
	KeyChecks         = "port-security"         // which checks are on; on a Bridge: opts in and sets the default
	KeyAction         = "port-security-action"  // enforce or observe; on a Bridge: the default
	KeyAllow          = "port-security-allow"   // guards that are lifted
	KeyFlood          = "port-security-flood"   // refused frames per second that lead to quarantine, or off; on a Bridge: the default
	KeySeq            = "port-security-seq"     // echoed as KeyStatusSeq once in force
	KeyProfile        = "port-profile"          // name of a profile in Open_vSwitch.external_ids
)

// Keys of Bridge.external_ids, beside [KeyChecks], [KeyAction] and [KeyFlood], which are
// the default of its VIFs.
const (
	KeyUnmarked   = "port-security-unmarked"    // block: ports without any VIF key are blocked
	KeyFirstTable = "port-security-first-table" // OpenFlow table of the first stage
	KeyExitTable  = "port-security-exit-table"  // accepted packets are resubmitted there instead of NORMAL
)

// Keys of Bridge.external_ids that are vifguard's own.
const (
	KeyUnguarded    = "vifguard-unguarded" // when and for how long it last forwarded unchecked
	KeyFailModeThen = "vifguard-fail-mode" // its fail_mode before vifguard set it to secure, "unset" for none
)

// FailModeUnset is the value of [KeyFailModeThen] for an empty fail_mode.
const FailModeUnset = "unset"

// KeyAgent is the key of Open_vSwitch.external_ids in which the agent names itself.
const KeyAgent = "vifguard-agent"

// ProfilePrefix starts the keys of Open_vSwitch.external_ids that define a profile.
const ProfilePrefix = "port-security-profile-"

// Keys of Interface.external_ids that the agent writes.
const (
	KeyStatusState  = "vifguard-state"
	KeyStatusChecks = "vifguard-checks"
	KeyStatusError  = "vifguard-error"
	KeyStatusSeq    = "vifguard-seq"
	KeyStatusFlood  = "vifguard-flood" // when, for how long and why it was last quarantined
)

var statusKeys = [...]string{KeyStatusState, KeyStatusChecks, KeyStatusError, KeyStatusSeq, KeyStatusFlood}

// StatusKeys returns the Interface keys that the agent writes.
func StatusKeys() []string { return slices.Clone(statusKeys[:]) }

func isStatusKey(k string) bool { return slices.Contains(statusKeys[:], k) }

// InputKeys returns the Interface keys that make an interface a VIF.
func InputKeys() []string {
	return []string{
		KeyAttachedMAC, KeyAttachedMACAlt, KeyAddresses, KeyPairs,
		KeyChecks, KeyAction, KeyAllow, KeyFlood, KeySeq, KeyProfile,
	}
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

// IsVIF reports whether the interface carries any key that makes it a VIF.
func (i *Interface) IsVIF() bool {
	for _, k := range InputKeys() {
		if _, ok := i.ExternalIDs[k]; ok {
			return true
		}
	}
	return false
}

// splitWords splits a list at commas and white space and drops empty words.
func splitWords(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	})
}
