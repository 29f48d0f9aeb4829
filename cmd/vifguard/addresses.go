package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

func newAddresses(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "addresses [ADDRESS]",
		Short: "Show who may use an address, and who used it last",
		Long: `Show the addresses declared on this host, or those that ADDRESS (an address or a prefix)
is part of: the VIFs that may use each, which of them announced it last in ARP or
neighbour discovery, and which last sent from it. So it says who holds a failover IP.

The times are those of the flows that let the packets through, read from the switch, so
they are true while the agent is down. They need OpenFlow15 among the bridge's protocols
(it is by default), and say "unknown" without. A change of the VIF's addresses that
replaces a flow starts its times anew: "not in 5m" means since then. "-" means that the
VIF's checks don't look at it: IP sources count with the check ip, announcements with arp.
Where bindings of one VIF overlap, either may count a packet.

Conflicts follow: an address that two VIFs of a bridge declare as their own, where one of
them should have it as a pair, and prefixes of different VIFs that overlap. vifguard
doesn't read VLANs: VIFs in different ones may share addresses on purpose.

Exit codes: 0; 1 no VIF may use ADDRESS.`,
		Example: `  vifguard addresses                       every declared address
  vifguard addresses 192.0.2.100           who holds the failover IP?
  vifguard addresses 2001:db8::/64 -o json`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			var asked netip.Prefix
			if len(args) == 1 {
				var err error
				if asked, err = parseAsked(args[0]); err != nil {
					return usageError(cmd, "ADDRESS: %v", err)
				}
			}
			return o.addresses(cmd, asked, format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}

// parseAsked parses an address or a prefix; host bits of a prefix don't matter.
func parseAsked(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address or prefix (want e.g. 192.0.2.10 or 2001:db8::/64)", s)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (o *options) addresses(cmd *cobra.Command, asked netip.Prefix, format string) error {
	s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	var all []inspect.BindingUse
	for _, b := range s.Host().Bridges {
		if !model.ResolveBridge(b).Guarded {
			continue
		}
		in := s.inspect(b)
		uses, err := inspect.Addresses(s.ctx, &in, s.runDir)
		if err != nil {
			remark(cmd, "times are unknown: %v", exit.Times(b.Name, s.runDir, err))
		}
		for _, u := range uses {
			if u.Port.Policy.Mode != model.Blocked || u.Port.Policy.Action == model.Observe {
				all = append(all, inspect.BindingUse{Bridge: b.Name, AddressUse: u})
			}
		}
	}
	wanted := slices.DeleteFunc(slices.Clone(all), func(h inspect.BindingUse) bool {
		if asked.IsValid() {
			return !h.Binding.Prefix.Overlaps(asked)
		}
		return h.Binding.Origin == model.OriginLinkLocal
	})
	r := report.NewAddresses(wanted)
	if format == "json" {
		err = output(cmd).JSON(r)
	} else {
		r.Print(output(cmd))
	}
	if err == nil && asked.IsValid() && len(wanted) == 0 {
		return exit.Errorf(exit.No, "no VIF of a guarded bridge may use %s", model.FormatPrefix(asked))
	}
	return err
}
