package report

import (
	"github.com/vifguard/vifguard/cmd/vifguard/term"
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
	if b.FailMode != model.FailSecure {
		out.Printf("Its fail_mode isn't secure: after a restart of ovs-vswitchd it forwards unchecked until\nthe agent has programmed it again. To close that: vifguard guard --secure %s\n", b.Name)
	}
	out.Printf("The agent (vifguard run) does the rest; see it with: vifguard status\n")
}
