package report

import (
	"fmt"
	"strings"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/model"
)

// Guarded says what guarding a bridge means for its ports.
func Guarded(out *term.Writer, b *model.Bridge, config *model.BridgeConfig, profiles map[string]string) {
	var count [model.Blocked + 1]int
	observed := 0
	out.Printf("Bridge %s is guarded, default %s.\n", b.Name, b.ExternalIDs[model.KeyChecks])
	for _, i := range b.Interfaces {
		p := model.Resolve(config, profiles, i)
		count[p.Mode]++
		if p.Action == model.Observe && (p.Mode == model.Checked || p.Mode == model.Blocked) {
			observed++
		}
		if text := p.Problems.String(); text != "" {
			out.Printf("%s: %s\n", i.Name, text)
		}
	}
	out.Printf("%d VIFs are checked, %d have checks off, %d ports are blocked, %d are trusted.\n",
		count[model.Checked], count[model.Off], count[model.Blocked], count[model.Trusted])
	if observed > 0 {
		out.Printf("Of these, %d are only observed: what they may not send passes and is counted.\n", observed)
	}
	if b.Facts.STP || b.Facts.RSTP {
		out.Printf("Its VIFs take no part in its spanning trees, where their Port says nothing: the agent sees to it.\n")
	}
	out.Printf("The agent (vifguard run) does the rest; see it with: vifguard status\n")
}

// Cut names who may be cut off by closing a bridge to in-band control, where they are reached
// through that bridge.
type Cut struct {
	bridge                string
	controllers, managers []string
}

// CutOff returns who may be cut off when a bridge is closed to in-band control, nobody if it
// isn't.
func CutOff(h *model.Host, b *model.Bridge, closed bool) Cut {
	c := Cut{bridge: b.Name}
	if closed {
		c.controllers, c.managers = exposure.InBandRemotes(h.Facts, b)
	}
	return c
}

// Controllers continues a refusal; "" when there are none.
func (c Cut) Controllers() string {
	if len(c.controllers) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s=true, which is set with it, may cut off controller %s, if that is reached through this bridge",
		model.ConfigInBand, strings.Join(c.controllers, ", "))
}

// Print warns of each of them.
func (c Cut) Print(out *term.Writer) {
	for _, of := range []struct {
		what    string
		targets []string
	}{{"Controller", c.controllers}, {"Manager", c.managers}} {
		for _, target := range of.targets {
			out.Printf("%s %s has no in-band way through %s any more. If it is reached through that bridge, it waits after a\nrestart of ovs-vswitchd until the agent has programmed the bridge (docs/exposure.md, who could be cut off).\n",
				of.what, target, c.bridge)
		}
	}
}

// Remaining says what decides beside the checks of a bridge that was just guarded.
func Remaining(out *term.Writer, found []exposure.Finding) {
	if len(found) == 0 {
		out.Printf("Nothing decides about frames beside the checks.\n")
		return
	}
	out.Printf("What remains to be closed, or to be known (docs/exposure.md):\n")
	list := NewFindings(found)
	for i := range list {
		list[i].Print(out, "")
	}
}
