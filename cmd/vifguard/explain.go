package main

import (
	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/model"
)

func newExplain(o *options) *cobra.Command {
	var flows bool
	var format string
	cmd := &cobra.Command{
		Use:   "explain PORT",
		Short: "Explain what a port may send, and why",
		Long: `Explain a port's effective policy: every part of it and where it came from, what was
dropped, and what the flows that enforce it are for, with their packet counters. What
lets its frames pass around the checks is shown as the agent found it; it is found anew
where no agent works, and by "vifguard verify".`,
		Example: `  vifguard explain tap1
  vifguard explain tap1 --flows      with each flow as ovs-ofctl would print it
  vifguard explain tap1 -o json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			s, err := o.openFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			b, row, err := findPort(s.Host(), args[0])
			if err != nil {
				return err
			}
			guarded := model.ResolveBridge(b).Guarded
			if format == "json" {
				if !guarded {
					return output(cmd).JSON(report.Unguarded(b, row))
				}
				in := s.inspect(b, row)
				s.judge(&in, row)
				return output(cmd).JSON(report.NewExplanation(&in, in.Port(row)))
			}
			if !guarded {
				output(cmd).Printf("%s is on bridge %s, which isn't guarded: everything passes.\nOpt the bridge in with: vifguard guard %s\n", row.Name, b.Name, b.Name)
				return nil
			}
			in := s.inspect(b, row)
			s.judge(&in, row)
			report.Explain(output(cmd), &in, in.Port(row), flows)
			return nil
		},
	}
	cmd.Flags().BoolVar(&flows, "flows", false, "show each flow as ovs-ofctl would")
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}
