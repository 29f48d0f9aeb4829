package exposure

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vifguard/vifguard/model"
)

// Hidden are the flows that Open vSwitch itself puts above all others, and that no
// OpenFlow dump shows.
type Hidden struct {
	Flows []HiddenEntry
	Err   error // why they couldn't be read; nil if they were
}

// HiddenEntry is a hidden flow as "ovs-appctl bridge/dump-flows" prints it.
type HiddenEntry struct {
	Priority uint64
	Text     string // match and actions
}

// Priorities of hidden flows: in-band.c and fail-open.h of Open vSwitch. Those of OpenFlow
// end at 65535.
const (
	maxVisible = 65535

	defaultPriority = 32768 // OFP_DEFAULT_PRIORITY
	inBandFirst     = 180000
	inBandLast      = 180008
	failOpenFlows   = 15790320
)

// ErrUnknownFormat says that a dump lacks the flows of Open vSwitch's own table, which every
// known version prints, with their priorities.
var ErrUnknownFormat = errors.New("the answer to bridge/dump-flows lacks Open vSwitch's own flows: an unknown format")

// ParseHidden reads the hidden flows of the output of "ovs-appctl bridge/dump-flows
// BRIDGE" (ovs-vswitchd(8)): one flow a line, its statistics, each followed by ", ", then
// priority (unless it is the default), match and actions, separated by commas. A line that
// it can't read is an error, as it may be such a flow.
func ParseHidden(dump string) (list []HiddenEntry, err error) {
	known := false
	for line := range strings.Lines(dump) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		h, table, ok := parseLine(line)
		if !ok {
			return nil, fmt.Errorf("unknown line in the answer to bridge/dump-flows: %.60q", line)
		}
		known = known || table == ownTable && strings.Contains(line, " priority=")
		if h.Priority > maxVisible {
			list = append(list, h)
		}
	}
	if !known {
		return nil, ErrUnknownFormat
	}
	return list, nil
}

// ownTable is the table of flows that Open vSwitch keeps for itself.
const ownTable = "254"

// statistics are what a line of the dump can start with, in any order: Open vSwitch 3.5 adds
// the cookie, and none names table 0. All but the first two must be there.
var statistics = [...]string{"cookie", "table_id", "duration", "n_packets", "n_bytes"}

func parseLine(line string) (h HiddenEntry, table string, ok bool) {
	var found [len(statistics)]bool
	for {
		word, rest, more := strings.Cut(line, ", ")
		name, value, _ := strings.Cut(word, "=")
		n := slices.Index(statistics[:], name)
		if n < 0 || !more {
			break
		}
		if found[n] {
			return h, "", false
		}
		if found[n], line = true, rest; name == "table_id" {
			table = value
		}
	}
	if slices.Contains(found[2:], false) {
		return h, "", false
	}
	h.Priority, h.Text = defaultPriority, line
	if rest, found := strings.CutPrefix(line, "priority="); found {
		number, text, _ := strings.Cut(rest, ",")
		priority, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return h, table, false
		}
		h.Priority, h.Text = priority, text
	}
	match, _, acts := strings.Cut(","+h.Text, ",actions=")
	return h, table, acts && !strings.Contains(match, "priority=") // of which there is one, and first
}

// hidden judges the hidden flows: by what was read, and by what OVSDB says of those that
// there will be, as a dump is a moment old.
func (j *judge) hidden() {
	bridge := j.Bridge.Name
	inBand, open := false, false
	for _, h := range j.Hidden.Flows {
		switch {
		case h.Priority == failOpenFlows:
			open = true
		case h.Priority >= inBandFirst && h.Priority <= inBandLast:
			inBand = inBand || !strings.Contains(h.Text, "in_port=LOCAL")
		default:
			j.add(Finding{
				Kind: HiddenFlow, Severity: Exposed, All: true,
				Guest:  "may pass through a hidden flow of a kind that vifguard doesn't know",
				Detail: fmt.Sprintf("priority=%d,%s", h.Priority, h.Text),
				Close:  []string{"ovs-appctl bridge/dump-flows " + bridge},
			})
		}
	}
	remotes := j.inBandRemotes()
	if inBand || len(remotes) > 0 {
		j.inBand(remotes)
	}
	j.failOpen(open)
	if j.Hidden.Err != nil {
		j.add(Finding{
			Kind: Unreadable, Severity: Exposed, All: true,
			Guest: "may pass through hidden flows, which can't be read: " + j.Hidden.Err.Error(),
			Close: []string{"let vifguard use ovs-vswitchd's control socket; this must answer: ovs-appctl bridge/dump-flows " + bridge},
		})
	}
}

// inBandRemotes names the peers that Open vSwitch lets everybody talk to and for.
func (j *judge) inBandRemotes() (targets []string) {
	controllers, managers := InBandRemotes(j.facts(), j.Bridge)
	for _, c := range controllers {
		targets = append(targets, "controller "+c)
	}
	for _, m := range managers {
		targets = append(targets, "manager "+m)
	}
	return targets
}

// InBandRemotes returns the targets that Open vSwitch lets everybody talk to and for, on
// this bridge: those of its controllers and of the whole host's managers that it connects
// to over the network, in in-band mode.
func InBandRemotes(h *model.HostFacts, b *model.Bridge) (controllers, managers []string) {
	if b.Facts.NoInBand() {
		return nil, nil
	}
	for _, c := range b.Facts.Controllers {
		if !c.OutOfBand && isInBand(c.Target, true) {
			controllers = append(controllers, c.Target)
		}
	}
	if h == nil {
		return controllers, nil
	}
	for _, m := range h.Managers {
		if !m.OutOfBand && isInBand(m.Target, false) {
			managers = append(managers, m.Target)
		}
	}
	return controllers, managers
}

// isInBand reports whether Open vSwitch adds hidden flows for a target: it is reached
// over IPv4. A name may stand for such an address at any time. A manager on the host
// itself needs none (bridge.c).
func isInBand(target string, loopback bool) bool {
	kind, rest, _ := strings.Cut(target, ":")
	if kind != "tcp" && kind != "ssl" {
		return false // unix, or one that Open vSwitch listens for
	}
	host := rest
	if strings.HasPrefix(rest, "[") {
		return false // IPv6
	}
	if h, _, ok := strings.Cut(rest, ":"); ok {
		host = h
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host != "" // a name
	}
	return a.Is4() && (loopback || !a.IsLoopback())
}

func (j *judge) inBand(remotes []string) {
	j.add(Finding{
		Kind: InBand, Severity: Exposed, All: true, Guard: true,
		Guest:  "can forge ARP for the bridge's and the controller's or manager's address, and take that address to control the switch",
		Detail: strings.Join(remotes, ", "),
		Close:  []string{"ovs-vsctl set Bridge " + j.Bridge.Name + " other_config:disable-in-band=true"},
	})
}

// failOpen judges a bridge that forwards everything while its controller is away. That it
// is there at the moment is no comfort: it restarts, and a guest can bring it about.
func (j *judge) failOpen(now bool) {
	var primary []string
	connected := false
	for _, c := range j.Bridge.Facts.Controllers {
		if !c.Service {
			primary = append(primary, "controller "+c.Target)
			connected = connected || c.Connected
		}
	}
	possible := j.Bridge.FailMode != model.FailSecure && len(primary) > 0
	if !now && !possible {
		return
	}
	f := Finding{
		Kind: FailOpen, Severity: Exposed, All: true, Guard: true,
		Guest:  "sends anything whenever the bridge's controller can't be reached",
		Detail: strings.Join(primary, ", "),
		Close:  []string{"ovs-vsctl set-fail-mode " + j.Bridge.Name + " secure"},
	}
	if now || !connected {
		f.Guest = "sends anything for as long as the bridge's controller can't be reached, as now"
	}
	j.add(f)
}

// failMode notes a bridge without a controller that isn't secure: it forwards unchecked
// after a restart of ovs-vswitchd, for the milliseconds until it is programmed, and
// vifguard says for how long it did.
func (j *judge) failMode() {
	if j.Bridge.FailMode == model.FailSecure || len(j.Bridge.Facts.Controllers) > 0 {
		return
	}
	j.add(Finding{
		Kind: FailMode, Severity: Notice, All: true, Guard: true,
		Guest: "sends anything after a restart of ovs-vswitchd, until vifguard has programmed the bridge again",
		Close: []string{"vifguard guard --secure " + j.Bridge.Name},
	})
}
