package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/model"
)

func newDrops(o *options) *cobra.Command {
	var format, socket string
	var follow bool
	cmd := &cobra.Command{
		Use:   "drops [PORT]",
		Short: "Show which frames were dropped, why, and what they claimed",
		Long: fmt.Sprintf(`Show the frames that the agent has seen dropped recently, of all VIFs or of one, one
line each: when, where, why, and what the frame claimed. With --follow, go on with
every further one as it comes.

The switch sends the agent samples of what it drops, at most a few per second and VIF
(vifguard run --sample-rate). What repeats itself is summed up every 10 seconds, as
"... 12,400 more in 10 s", by the exact counters of the switch, so that while the agent
runs every dropped frame is in exactly one line in the end. With the action observe a
frame "would drop": it passed.

With -o json every line is an object:

  time      RFC 3339
  bridge    and port, uuid of the Interface row, vm and vm_name if there
  reason    one of those below
  passed    true with action observe
  eth_dst   destination
  claim     whom the frame says it is from: eth_src, vlans, ethertype, kind ("ARP probe",
            "NA", "IPv4", ...), sha and spa of ARP, target and option of neighbour
            discovery, source of IP; what it doesn't have is missing
  frame     the same in words; eth_dst, claim and frame are missing from sums of which
            nothing was sampled
  more      for sums: packets, exact (false: samples only, there may be more), seconds,
            claims (different ones among the samples)

The reasons:

%s`, reasonMeanings()),
		Example: `  vifguard drops tap1 --follow
  vifguard drops -o json | jq -r 'select(.reason == "arp") | .claim.spa'`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			return o.drops(cmd, strings.Join(args, ""), socket, follow, format == "json")
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with every further one as it comes")
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	cmd.Flags().StringVar(&socket, "control", control.DefaultPath, "the agent's control socket")
	return cmd
}

// reasonMeanings writes what each drop reason means, one a line.
func reasonMeanings() string {
	var lines []string
	for _, r := range model.Reasons() {
		lines = append(lines, fmt.Sprintf("  %-13s %s", r, r.Meaning()))
	}
	return strings.Join(lines, "\n")
}

// drops prints the events of a port, or of all. A port that isn't there may have events of
// when it was, and with follow it may come.
func (o *options) drops(cmd *cobra.Command, port, socket string, follow, json bool) error {
	var missing error
	if port != "" {
		missing = o.missing(cmd.Context(), port)
	}
	if follow && missing != nil {
		remark(cmd, "%v", missing)
	}
	out, printed := output(cmd), 0
	err := control.Drops(cmd.Context(), socket, port, follow, func(e *drops.Event) error {
		printed++
		if json {
			return out.JSONLine(e)
		}
		out.Printf("%s\n", e)
		return out.Err()
	})
	if err == nil && printed == 0 && !follow {
		return missing
	}
	return err
}

// missing returns an error if OVSDB has no such port. While OVSDB can't be read nothing is
// missing: it is the agent that is asked for events.
func (o *options) missing(ctx context.Context, port string) (err error) {
	if s, failed := o.open(ctx); failed == nil {
		defer s.close()
		_, _, err = findPort(s.Host(), port)
	}
	return err
}
