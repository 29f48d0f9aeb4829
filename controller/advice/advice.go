package advice

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

// Verdict says what to do about a finding.
type Verdict string

// The verdicts, the most important first. The first four are left to decide.
const (
	Suspicious Verdict = "suspicious" // looks wrong; no command is given
	Decide     Verdict = "decide"     // right for some VIFs, and an attack by others
	Allow      Verdict = "allow"      // looks like metadata that is missing
	Unknown    Verdict = "unknown"    // can't be told
	Harmless   Verdict = "harmless"   // may be dropped, nobody misses it
	Settled    Verdict = "settled"    // today's metadata doesn't refuse what was seen
)

// Verdicts returns all verdicts, the most important first.
func Verdicts() []Verdict { return []Verdict{Suspicious, Decide, Allow, Unknown, Harmless, Settled} }

// Open reports whether somebody has to decide.
func (v Verdict) Open() bool { return v != Harmless && v != Settled }

// VIF is what one VIF may be, and what it was seen to do.
type VIF struct {
	Bridge string
	Config *model.BridgeConfig
	Row    *model.Interface
	Policy model.Policy
	Drops  map[string]uint64 // packets by reason, by the switch's counters; nil when they can't be read
	Claims []drops.ClaimCount
	Others uint64 // samples with further claims, which were too many to be remembered
}

// Host is what is known of a host.
type Host struct {
	vifs      []VIF
	profiles  map[string]string
	owners    map[model.MAC][]*VIF  // by each MAC that they may use
	claimants map[netip.Addr][]*VIF // by addresses that they were seen to claim without right
}

// NewHost takes all VIFs of all bridges, which mustn't be changed afterwards, and the
// profiles by name.
func NewHost(vifs []VIF, profiles map[string]string) *Host {
	h := &Host{vifs: vifs, profiles: profiles, owners: make(map[model.MAC][]*VIF), claimants: make(map[netip.Addr][]*VIF)}
	for i := range vifs {
		v := &vifs[i]
		for _, m := range v.Policy.MACs() {
			h.owners[m] = append(h.owners[m], v)
		}
		for _, s := range v.Claims {
			reason := model.ParseReason(s.Reason)
			if refusal(&v.Policy, reason, &s.Claim) != reason {
				continue
			}
			for _, a := range claimed(reason, &s.Claim) {
				if !slices.Contains(h.claimants[a], v) {
					h.claimants[a] = append(h.claimants[a], v)
				}
			}
		}
	}
	return h
}

// VIF returns the VIF of an Interface row, or nil.
func (h *Host) VIF(uuid string) *VIF {
	for i := range h.vifs {
		if h.vifs[i].Row.UUID == uuid {
			return &h.vifs[i]
		}
	}
	return nil
}

// Finding is one thing that a VIF did and what to do about it. Its JSON is stable.
type Finding struct {
	Verdict Verdict  `json:"verdict"`
	Reason  string   `json:"reason"` // why it is dropped
	What    string   `json:"what"`   // what the VIF did
	Why     string   `json:"why"`    // why the verdict is what it is, and what to consider
	About   []string `json:"about"`  // addresses, MACs, VLANs or ethertypes
	Samples uint64   `json:"samples"`
	Command string   `json:"command,omitempty"` // allows it

	set map[string]string // the keys that the command writes
}

// Advice is what is to be said of one VIF.
type Advice struct {
	Findings []Finding // the most important first
	// Together is for commands that write the same keys: as set replaces keys, the last of
	// them would undo the others. It does what all of them do to those keys.
	Together string
}

// Open reports whether anything is left to decide.
func (a *Advice) Open() bool {
	return slices.ContainsFunc(a.Findings, func(f Finding) bool { return f.Verdict.Open() })
}

// judge is one VIF being judged.
type judge struct {
	*VIF
	host     *Host
	findings []Finding
}

// Advise judges one VIF of the host.
func (h *Host) Advise(v *VIF) Advice {
	j := &judge{VIF: v, host: h}
	open := make(map[model.Reason][]drops.ClaimCount)
	settled := make(map[string]uint64)
	for _, s := range v.Claims {
		if now := refusal(&v.Policy, model.ParseReason(s.Reason), &s.Claim); now != model.NoReason {
			open[now] = append(open[now], s)
		} else {
			settled[s.Reason] += s.Samples
		}
	}
	j.blocked(open[model.ReasonBlocked])
	j.macs(open[model.ReasonMAC])
	j.addresses(open)
	j.guards(open)
	j.vlans(open[model.ReasonVLAN])
	j.rest(len(open) > 0, settled)
	slices.SortStableFunc(j.findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(Verdicts(), a.Verdict), slices.Index(Verdicts(), b.Verdict))
	})
	return Advice{Findings: j.findings, Together: j.together()}
}

// rest says what can't be told, and what is settled.
func (j *judge) rest(open bool, settled map[string]uint64) {
	for _, reason := range slices.Sorted(maps.Keys(settled)) {
		j.add(Finding{
			Verdict: Settled, Reason: reason, Samples: settled[reason],
			What: "sent what its metadata doesn't refuse any more",
			Why:  "The metadata was changed since, or the frames were malformed, which no metadata allows. If the counter still grows, look at vifguard drops.",
		})
	}
	for _, reason := range slices.Sorted(maps.Keys(j.Drops)) {
		if reason == model.ReasonFlood.String() {
			continue // a quarantine drops good frames too: what led to it has another reason
		}
		if j.Drops[reason] > 0 && !slices.ContainsFunc(j.Claims, func(s drops.ClaimCount) bool { return s.Reason == reason }) && !j.blockedOnPurpose() {
			j.add(Finding{
				Verdict: Unknown, Reason: reason, What: "sent frames of which none was sampled",
				Why: "Only the switch's counter tells of them: they are older than the agent's memory, or it doesn't sample (vifguard run --sample-rate).",
			})
		}
	}
	if j.Others > 0 && open {
		j.add(Finding{
			Verdict: Unknown, Reason: "any", What: "claimed more different things than are remembered", Samples: j.Others,
			Why: "Claims that were seen least often were forgotten. Deal with the above, then look again.",
		})
	}
}

func (j *judge) add(f Finding) {
	if f.About == nil {
		f.About = []string{}
	}
	if f.set != nil {
		f.set, f.Command = j.command(f.set)
	}
	j.findings = append(j.findings, f)
}

// together is one command for the keys that several commands write; "" if there are none.
func (j *judge) together() string {
	all, clash := make(map[string]string), make(map[string]string)
	for _, f := range j.findings {
		for key, value := range f.set {
			if before, ok := all[key]; ok && key != model.KeyChecks {
				value = union(before, value)
				clash[key] = value
			}
			all[key] = value
		}
	}
	if len(clash) == 0 {
		return ""
	}
	_, command := j.command(clash)
	return command
}

func union(lists ...string) string {
	var all []string
	for _, list := range lists {
		for _, word := range strings.Split(list, ",") {
			if word != "" && !slices.Contains(all, word) {
				all = append(all, word)
			}
		}
	}
	return strings.Join(all, ",")
}

// command returns the command that writes keys. Where a first address would turn on
// checks that are off by auto, it keeps the checks as they are.
func (j *judge) command(set map[string]string) (map[string]string, string) {
	after := j.with(set)
	if _, ok := set[model.KeyChecks]; !ok && j.Policy.Mode == model.Checked && after.Checks != j.Policy.Checks {
		set = maps.Clone(set)
		set[model.KeyChecks] = j.Policy.Checks.String()
	}
	words := []string{"vifguard", "set", Quote(j.Row.Name)}
	for _, k := range model.Keys(model.OnInterface) {
		if value, ok := set[k.Name]; ok {
			for _, part := range split(value) {
				words = append(words, "--"+k.Flag, part)
			}
		}
	}
	return set, strings.Join(words, " ")
}

// split cuts a long list at commas: flags of lists can be repeated.
func split(value string) []string {
	const longest = 70
	var parts []string
	for _, word := range strings.Split(value, ",") {
		if n := len(parts); n > 0 && len(parts[n-1])+1+len(word) <= longest {
			parts[n-1] += "," + word
		} else {
			parts = append(parts, word)
		}
	}
	return parts
}

// with is the policy that the VIF would have with other keys.
func (j *judge) with(set map[string]string) model.Policy {
	row := *j.Row
	row.ExternalIDs = make(map[string]string)
	maps.Copy(row.ExternalIDs, j.Row.ExternalIDs)
	maps.Copy(row.ExternalIDs, set)
	return model.Resolve(j.Config, j.host.profiles, &row)
}

// Quote protects a name from a shell.
func Quote(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:@%+-", r)
	}
	if strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 && name != "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// merged returns the value of a key with further words: set replaces what there is, so
// its usable entries are repeated.
func (j *judge) merged(key string, more ...string) map[string]string {
	var have []string
	switch key {
	case model.KeyAllow:
		have = append(have, j.Policy.Allow.String())
	default:
		for _, b := range j.Policy.Bindings {
			if b.Origin == key {
				have = append(have, j.entry(b))
			}
		}
	}
	return map[string]string{key: union(append(have, more...)...)}
}

// entry writes a binding as the keys do.
func (j *judge) entry(b model.Binding) string {
	if b.MAC == j.Policy.MAC {
		return model.FormatPrefix(b.Prefix)
	}
	return b.String()
}

// name is how a VIF is called in a sentence.
func (j *judge) name(o *VIF) string {
	s := o.Row.Name
	if vm := o.Row.VMID(); vm != "" {
		s += " (VM " + vm + ")"
	}
	if o.Bridge != j.Bridge {
		s += " on bridge " + o.Bridge
	}
	return s
}

func samples(list []drops.ClaimCount) (n uint64) {
	for _, s := range list {
		n += s.Samples
	}
	return n
}

// list writes words in a sentence, the first few of many.
func list(words []string) string {
	const most = 8
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}

// inner are the MACs that a claim is made with, the Ethernet source first.
func inner(c *frame.Claim) []model.MAC {
	macs := []model.MAC{c.EthSrc}
	for _, m := range []model.MAC{c.SHA, c.Option} {
		if m != (model.MAC{}) && !slices.Contains(macs, m) {
			macs = append(macs, m)
		}
	}
	return macs
}
