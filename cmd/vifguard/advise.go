package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/controller/advice"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

func newAdvise(o *options) *cobra.Command {
	var format, socket string
	cmd := &cobra.Command{
		Use:   "advise BRIDGE|PORT...",
		Short: "Say which metadata VIFs lack, and which look like an attack",
		Long: `Say of each VIF what was dropped, or would be, and what to do about it. Use it after
some hours of vifguard observe. What VIFs claimed is the agent's memory, so the agent has
to run; how much was refused comes from the switch's counters. What today's metadata
wouldn't refuse any more counts as settled, so run it again after each correction.

  suspicious  looks like an attack or a mistake in the guest: no command is given
  decide      right for some VMs and an attack by others; the command allows it
  allow       looks like metadata that somebody forgot; the command allows it
  unknown     only counters tell of it, or there was too much
  harmless    nobody misses it when it is dropped
  settled     the metadata doesn't refuse it any more

A guest decides what it claims: compare addresses with what it was given before you run a
command. The commands repeat what the metadata allows already, as vifguard set replaces it.

Exit codes: 0 nothing is left to decide; 1 something is, or no agent answers.`,
		Example: `  vifguard observe br0             opt in, and wait some hours
  vifguard advise br0              what would be dropped, and should it be?
  vifguard advise tap1 -o json     one VIF, for a script`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			r, err := s.advise(args, socket)
			if err != nil {
				return err
			}
			if format == "json" {
				err = output(cmd).JSON(r)
			} else {
				r.Print(output(cmd))
			}
			if err == nil && !r.Decided {
				err = exit.Errorf(exit.No, "%s left to decide", r.Left())
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	cmd.Flags().StringVar(&socket, "control", control.DefaultPath, "the agent's control socket")
	return cmd
}

// asked are the ports of one bridge that a command is about; none for all of them.
type asked struct {
	bridge *model.Bridge
	ports  []*model.Interface
}

// askedFor finds what names mean. Ports that can't be advised on are refused.
func askedFor(h *model.Host, names []string) ([]*asked, error) {
	var list []*asked
	for _, name := range names {
		b, port := h.Bridge(name), (*model.Interface)(nil)
		if b == nil {
			if b, port = h.FindInterface(name); port == nil {
				return nil, noSuchName(h, name)
			}
		}
		config := model.ResolveBridge(b)
		if !config.Guarded {
			return nil, exit.Errorf(exit.Usage, "bridge %s isn't guarded, so nothing of it is refused (start with: vifguard observe %s)", b.Name, b.Name)
		}
		if port != nil {
			if p := model.Resolve(&config, h.Profiles, port); p.Mode == model.Trusted || p.Mode == model.Off {
				return nil, exit.Errorf(exit.Usage, "%s isn't checked, so nothing of it is refused (vifguard explain %s says why)", name, name)
			}
		}
		i := slices.IndexFunc(list, func(a *asked) bool { return a.bridge == b })
		switch {
		case i < 0 && port == nil:
			list = append(list, &asked{bridge: b})
		case i < 0:
			list = append(list, &asked{bridge: b, ports: []*model.Interface{port}})
		case port == nil:
			list[i].ports = nil
		case list[i].ports != nil && !slices.Contains(list[i].ports, port):
			list[i].ports = append(list[i].ports, port)
		}
	}
	return list, nil
}

// noSuchName says that a name is neither a bridge nor a port.
func noSuchName(h *model.Host, name string) error {
	return exit.Errorf(exit.NotFound, "no bridge or interface %q%s (vifguard status lists the VIFs, ovs-vsctl show everything)",
		name, exit.DidYouMean(name, append(bridgeNames(h), portNames(h)...)))
}

func (s *session) advise(names []string, socket string) (*report.Advice, error) {
	list, err := askedFor(s.Host(), names)
	if err != nil {
		return nil, err
	}
	claims, err := control.Claims(s.ctx, socket)
	if err != nil {
		return nil, err
	}
	host := s.adviceHost(&claims)
	r := &report.Advice{Since: claims.Since, Decided: true, Next: []string{}, VIFs: []report.AdviceVIF{}}
	for _, a := range list {
		in := s.inspect(a.bridge, a.ports...)
		if in.Switch != nil {
			return nil, in.Switch
		}
		var vifs []report.AdviceVIF
		for i := range in.Ports {
			p := &in.Ports[i]
			if p.IsVIF() && p.Policy.Mode != model.Off {
				vifs = append(vifs, adviseOn(host, &in, p))
			}
		}
		r.Next = append(r.Next, next(a, vifs)...)
		r.VIFs = append(r.VIFs, vifs...)
	}
	for i := range r.VIFs {
		r.Decided = r.Decided && r.VIFs[i].Decided
	}
	if !r.Decided {
		r.Next = []string{}
	}
	slices.SortStableFunc(r.VIFs, func(a, b report.AdviceVIF) int { return cmp.Compare(a.Rank(), b.Rank()) })
	return r, nil
}

// adviceHost is every VIF of the host, and what each claimed.
func (s *session) adviceHost(claims *drops.Report) *advice.Host {
	h := s.Host()
	reports := make(map[string]*drops.VIFReport)
	for i := range claims.VIFs {
		reports[claims.VIFs[i].UUID] = &claims.VIFs[i]
	}
	var all []advice.VIF
	for _, b := range h.Bridges {
		config := model.ResolveBridge(b)
		for _, row := range b.Interfaces {
			v := advice.VIF{Bridge: b.Name, Config: &config, Row: row, Policy: model.Resolve(&config, h.Profiles, row)}
			if v.Policy.Mode == model.Trusted {
				continue
			}
			if r := reports[row.UUID]; r != nil {
				v.Claims, v.Others = r.Claims, r.Others
			}
			all = append(all, v)
		}
	}
	return advice.NewHost(all, h.Profiles)
}

func adviseOn(host *advice.Host, in *inspect.Inspection, p *inspect.PortInspection) report.AdviceVIF {
	status := report.NewStatus(in, p)
	v := report.AdviceVIF{
		Bridge: status.Bridge, Port: status.Port, VM: status.VM, Action: status.Action,
		Drops: status.Drops, Findings: []advice.Finding{},
	}
	vif := *host.VIF(p.Row.UUID)
	vif.Drops = status.Drops
	a := host.Advise(&vif)
	v.Findings = append(v.Findings, a.Findings...)
	v.Together = a.Together
	v.Decided = !a.Open()
	if p.Row.OFPort != 0 && !p.InForce {
		v.Decided = false
		v.Findings = append(v.Findings, advice.Finding{
			Verdict: advice.Unknown, Reason: "any", What: "isn't checked as its metadata says", About: []string{},
			Why: "The switch has other flows: " + cmp.Or(status.Error, "the agent hasn't programmed it yet") + ".",
		})
	}
	return v
}

// next is how to enforce what was advised on. What is counted already would make enforce
// refuse: noise goes on, and what was settled isn't repeated.
func next(a *asked, vifs []report.AdviceVIF) []string {
	var observed []string
	flag := ""
	for i := range vifs {
		v := &vifs[i]
		if v.Action != model.Observe.String() {
			continue
		}
		observed = append(observed, v.Port)
		for _, f := range v.Findings {
			switch {
			case f.Verdict == advice.Harmless:
				flag = " --force"
			case f.Verdict == advice.Settled && flag == "":
				flag = " --since 1h"
			}
		}
	}
	switch {
	case observed == nil:
		return nil
	case a.ports == nil:
		observed = []string{a.bridge.Name}
	}
	for i := range observed {
		observed[i] = advice.Quote(observed[i])
	}
	return []string{"vifguard enforce " + strings.Join(observed, " ") + flag}
}
