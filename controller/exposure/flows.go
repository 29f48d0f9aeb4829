package exposure

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// flow is a flow of somebody else, read as far as it matters here.
type flow struct {
	*flows.Entry
	inPort uint32 // 0 for any
	only   bool   // the match asks for nothing else
	effect openflow.Effect
}

// flows judges the flows of others: those in front of the stages, and those above the
// stages' own.
func (j *judge) flows() {
	if j.FlowsErr != nil {
		j.add(Finding{
			Kind: Unreadable, Severity: Exposed, All: true,
			Guest: "may pass through flows of others, which can't be read: " + j.FlowsErr.Error(),
			Close: []string{"this must answer: ovs-ofctl -O OpenFlow13 dump-flows " + j.Bridge.Name},
		})
		return
	}
	tables := make(map[uint8][]*flows.Entry)
	for i := range j.Foreign {
		e := &j.Foreign[i]
		tables[e.Table] = append(tables[e.Table], e)
	}
	j.foreign(newWalk(j, tables))
	if j.Stages.First > 0 {
		j.wayIn(newWalk(j, tables))
	}
}

// foreign judges flows in the stages' tables that take precedence over a stage. One that
// drops only takes away; one of the exit meets accepted packets only.
func (j *judge) foreign(w *walk) {
	for _, table := range j.Stages.Tables() {
		list := w.read(table)
		for i := range list {
			f := &list[i]
			if table != j.Stages.Table(flows.StageExit) && j.Stages.Shadows(f.Key) && !f.effect.Drops() {
				w.blame(f, w.from(f, w.everyone))
			}
		}
	}
	j.blame(w, ForeignFlow, "around the checks", "a flow of somebody else in vifguard's tables",
		"move such flows out of tables "+j.tablesText()+", or set "+model.KeyFirstTable+" of bridge "+j.Bridge.Name)
}

func (j *judge) tablesText() string {
	t := j.Stages.Tables()
	return fmt.Sprintf("%d to %d", t[0], t[len(t)-1])
}

// wayIn judges what stands in front of the stages where these begin behind table 0.
func (j *judge) wayIn(w *walk) {
	w.run()
	first := j.Stages.First
	j.blame(w, NoWayIn, "in front of the checks", fmt.Sprintf("a flow that doesn't lead to table %d", first),
		fmt.Sprintf("let such flows lead to table %d instead, or remove %s from bridge %s", first, model.KeyFirstTable, j.Bridge.Name))
	if missed := w.names(w.missed); len(missed) > 0 && j.hasController() {
		j.add(Finding{
			Kind: NoWayIn, Severity: Exposed, Ports: missed,
			Guest: fmt.Sprintf("may pass in front of the checks: no flow leads it to table %d, and a controller may forward what no flow matches", first),
			Close: []string{j.addWayIn()},
		})
	}
	cutOff := slices.Clone(w.everyone)
	cutOff.remove(w.entered)
	for _, vifs := range w.offences {
		cutOff.remove(vifs)
	}
	if cut := w.names(cutOff); len(cut) > 0 {
		j.add(Finding{
			Kind: NoWayIn, Severity: Notice, Ports: cut,
			Guest: fmt.Sprintf("sends nothing: no flow leads to table %d, where the checks begin", first),
			Close: []string{j.addWayIn()},
		})
	}
}

func (j *judge) addWayIn() string {
	return fmt.Sprintf("ovs-ofctl -O OpenFlow13 add-flow %s table=0,priority=1,actions=goto_table:%d", j.Bridge.Name, j.Stages.First)
}

func (j *judge) hasController() bool {
	return slices.ContainsFunc(j.Bridge.Facts.Controllers, func(c model.Remote) bool { return !c.Service })
}

// blame adds one finding for the flows by which frames pass: it shows the first one.
func (j *judge) blame(w *walk, kind Kind, where, what, end string) {
	var list []*flow
	vifs := w.none()
	for f, who := range w.offences {
		if !who.empty() {
			list = append(list, f)
			vifs.add(who)
		}
	}
	if len(list) == 0 {
		return
	}
	first := slices.MinFunc(list, func(a, b *flow) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Match, b.Match))
	})
	f := Finding{Kind: kind, Severity: Exposed, Detail: openflow.Text(first.Entry), Close: []string{end}}
	f.Guest = "passes " + where + " through " + what
	if u := first.effect.Unclear; u != "" {
		f.Guest = "may pass " + where + ", as it can't be told where " + u + " leads, through " + what
	}
	f.Guest += ": " + f.Detail
	if n := len(list) - 1; n > 0 {
		f.Guest = fmt.Sprintf("%s, and %d more", clip(f.Guest, 150), n)
	}
	if f.Ports = w.names(vifs); len(f.Ports) == len(j.VIFs) {
		f.All, f.Ports = true, nil
	}
	j.add(f)
}
