package report

import (
	"fmt"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

// Explain writes what a port may send and why, and with flows each flow as ovs-ofctl would.
func Explain(out *term.Writer, in *inspect.Inspection, p *inspect.PortInspection, flows bool) {
	out.Printf("%s on bridge %s", p.Row.Name, in.Bridge.Name)
	if p.Row.OFPort != 0 {
		out.Printf(", OpenFlow port %d", p.Row.OFPort)
	}
	if vm := p.Row.VMID(); vm != "" {
		out.Printf(", VM %s", vm)
	}
	out.Styled(term.Plain, "\n"+Verdict(&p.Policy)+"\n")
	if text := quarantineText(p); text != "" {
		out.Printf("Now nothing it sends passes: it is %s.\n", text)
	}
	explainExposure(out, in, p)
	out.Printf("\n")
	out.Printf("In force: %s\n\n", inForce(in, p))
	explainPolicy(out, p)
	explainProblems(out, in, p)
	if len(p.Rules) > 0 {
		explainFlows(out, in, p, flows)
	}
}

// Verdict says in a sentence or two what the port may do.
func Verdict(p *model.Policy) string {
	var s string
	switch p.Mode {
	case model.Trusted:
		return "Trusted (" + term.Printable(p.Origins.Mode) + "): everything it sends passes unchecked."
	case model.Off:
		return "No check is on: everything it sends passes."
	case model.Blocked:
		if p.Action == model.Observe {
			return "It would be blocked (" + term.Printable(p.Origins.Mode) + "), but is only observed: everything it sends passes, and is counted."
		}
		return "Blocked (" + term.Printable(p.Origins.Mode) + "): nothing it sends passes."
	case model.Checked:
		switch p.Checks {
		case model.CheckMAC:
			s = "It may send from its own MAC, with any address."
		case model.CheckMACARP:
			s = "It may send from its own MAC and claim its own addresses in ARP and ND, with any IP source."
		default:
			s = "It may send from its own MAC, claim its own addresses in ARP and ND, and use its own IP sources."
		}
	}
	if p.Action == model.Observe {
		s += "\nIt is only observed: what it may not send passes too, and is counted."
	}
	return s
}

// quarantineText says why nothing of a port passes, and until when; "" for a port that
// isn't quarantined.
func quarantineText(p *inspect.PortInspection) string {
	last := p.Row.ExternalIDs[model.KeyStatusFlood]
	switch {
	case !p.Quarantined:
		return ""
	case last == "":
		return "quarantined for a while"
	}
	return "quarantined for " + last
}

func inForce(in *inspect.Inspection, p *inspect.PortInspection) string {
	state := orDash(p.Row.ExternalIDs[model.KeyStatusState])
	switch {
	case in.Switch != nil:
		return "unknown, the switch can't be read: " + in.Switch.Error()
	case p.Row.OFPort == 0:
		return "not yet, Open vSwitch hasn't given it an OpenFlow port (agent: " + state + ")"
	case p.InForce:
		return "yes, the switch has exactly these flows (agent: " + state + ")"
	}
	return "no, the switch has other flows (agent: " + state + "; is it running?)"
}

// explainExposure says what lets frames pass around the checks, as it was found or as the
// agent reported it.
func explainExposure(out *term.Writer, in *inspect.Inspection, p *inspect.PortInspection) {
	state, why := in.State(p)
	switch list := NewFindings(in.Concerning(p)); {
	case in.Judged && len(list) > 0:
		out.Printf("\nBESIDE THE CHECKS\n")
		for i := range list {
			list[i].Print(out, in.Bridge.Name)
		}
	case !in.Judged && state == model.StateExposed:
		out.Printf("\nBESIDE THE CHECKS, as the agent found it (vifguard verify %s shows all, and how to close it)\n  ", in.Bridge.Name)
		out.Styled(term.Red, term.Printable(why))
		out.Printf("\n")
	}
}

func explainPolicy(out *term.Writer, p *inspect.PortInspection) {
	policy := &p.Policy
	if policy.Mode != model.Trusted {
		t := term.Table{Head: []string{"POLICY", "VALUE", "FROM"}}
		for _, part := range policy.Parts() {
			t.Add(part.Key.Label, part.Text, part.Origin)
		}
		if whom, ok := p.Row.ExternalIDs[model.KeyFor]; ok {
			t.Add("written for", whom, model.KeyFor)
		}
		t.Write(out)
		out.Printf("\n")
	}
	if len(policy.Bindings) > 0 {
		t := term.Table{Head: []string{"ADDRESS", "WITH MAC", "GOOD FOR", "FROM"}}
		for _, b := range policy.Bindings {
			t.Add(model.FormatPrefix(b.Prefix), b.MAC.String(), goodFor(b), b.Origin)
		}
		t.Write(out)
		out.Printf("\n")
	}
}

func orDefault(s string) string {
	if s == "" {
		return "default"
	}
	return s
}

// OrNone names what is empty.
func OrNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// goodFor says what a binding allows.
func goodFor(b model.Binding) string {
	claims := "ARP"
	if b.Prefix.Addr().Is6() {
		claims = "ND"
	}
	switch {
	case b.IPOnly():
		return "IP source only"
	case b.MAC.IsVRRP():
		return claims + ", IP source, VRRP"
	}
	return claims + ", IP source"
}

func explainProblems(out *term.Writer, in *inspect.Inspection, p *inspect.PortInspection) {
	problems := append(append(model.Problems{}, p.Policy.Problems...), in.Config.Problems...)
	if len(problems) == 0 {
		return
	}
	out.Printf("METADATA THAT CAN'T BE USED\n")
	for _, problem := range problems {
		out.Printf("%v\n", problem)
	}
	out.Printf("\n")
}

// explainFlows lists the port's own rules in words, and with flows also as they are.
func explainFlows(out *term.Writer, in *inspect.Inspection, p *inspect.PortInspection, flows bool) {
	if text := DropsText(p.Drops, len(p.Drops)); text != "" {
		what := "DROPPED"
		if p.Policy.Action == model.Observe {
			what = "WOULD HAVE BEEN DROPPED"
		}
		out.Printf("%s: %s\n\n", what, text)
	}
	out.Printf("FLOWS, with the packets that met each\n")
	stage := -1
	for _, r := range p.Rules {
		if int(r.Stage) != stage {
			stage = int(r.Stage)
			out.Printf("table %d, %s\n", in.Pipeline().Table(r.Stage), r.Stage)
		}
		packets := fmt.Sprint(r.Packets)
		if !r.Installed {
			packets = "missing"
		}
		out.Printf("%10s  %s\n", packets, r.Why)
		if flows {
			out.Printf("%10s  %s\n", "", r.Text(in.Pipeline()))
		}
	}
	if p.Policy.Mode == model.Checked {
		out.Printf("\nPackets that none of these lets on meet the %d flows that all VIFs share (docs/pipeline.md).\n", len(in.Shared))
	}
}
