package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

func newSet(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set PORT",
		Short: "Write what a VIF may be",
		Long: `Write what a VIF may be. Each flag replaces the key that it stands for; keys without a
flag stay. Flags that take several values can be repeated, or hold them separated by
commas. When any value is bad nothing is written.

It also writes for which MAC they are (port-security-for), so that they count for no other
VIF whose port gets the same name. Keys of such a VIF that are still there are removed.`,
		Example: `  vifguard set tap1 --mac 52:54:00:12:34:56 --address 192.0.2.10,2001:db8::10
  vifguard set tap1 --pair 192.0.2.100                        a failover IP
  vifguard set tap1 --pair 192.0.2.100@00:00:5e:00:01:07      the same by VRRP
  vifguard set fw1 --checks mac,arp                           a firewall: any IP source
  vifguard set tap1 --action observe                          count, don't drop
  vifguard set tap1 --flood 1000                              cut off while it floods`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := givenKeys(cmd, model.OnInterface)
			if len(set) == 0 {
				return usageError(cmd, "nothing to set (want at least one flag, e.g. vifguard set %s --address 192.0.2.10)", args[0])
			}
			return o.edit(cmd, args[0], set, nil)
		},
	}
	for _, k := range model.Keys(model.OnInterface) {
		// Not a StringSlice: that would strip the quotes of Neutron's JSON form.
		cmd.Flags().StringArray(k.Flag, nil, k.Usage)
	}
	return cmd
}

// givenKeys returns the keys whose flags were given, with the values to write.
func givenKeys(cmd *cobra.Command, at model.Place) map[string]string {
	set := make(map[string]string)
	for _, k := range model.Keys(at) {
		f := cmd.Flags().Lookup(k.Flag)
		if !f.Changed {
			continue
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		set[k.Name] = k.Canonical(value)
	}
	return set
}

func newUnset(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unset PORT",
		Short: "Remove keys of a VIF",
		Long: `Remove the keys that the flags stand for. Without a flag all of them are removed except
the MAC, which the orchestrator owns.`,
		Example: `  vifguard unset tap1 --pair         no further addresses
  vifguard unset tap1                back to the bridge's default`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var del, all []string
			for _, k := range model.Keys(model.OnInterface) {
				if on, _ := cmd.Flags().GetBool(k.Flag); on {
					del = append(del, k.Names()...)
				}
				if k.Name != model.KeyAttachedMAC {
					all = append(all, k.Names()...)
				}
			}
			if len(del) == 0 {
				del = all
			}
			return o.edit(cmd, args[0], nil, del)
		},
	}
	for _, k := range model.Keys(model.OnInterface) {
		cmd.Flags().Bool(k.Flag, false, "remove "+k.Name)
	}
	return cmd
}

// edit changes keys of a VIF if what they then say can be used.
func (o *options) edit(cmd *cobra.Command, port string, set map[string]string, del []string) error {
	s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	host := s.Host()
	b, row, err := findPort(host, port)
	if err != nil {
		return err
	}
	set, del = row.Stamp(set, del)
	after := *row
	after.ExternalIDs = merged(row.ExternalIDs, set, del)
	config := model.ResolveBridge(b)
	policy := model.Resolve(&config, host.Profiles, &after)
	if bad := caused(policy.Problems, set); len(bad) > 0 {
		return exit.Errorf(exit.Usage, "nothing written: %v%s", bad.Refused(), profileHint(bad, host.Profiles))
	}
	if _, err := s.Apply(s.ctx, []ovsdb.Edit{{Table: ovsdb.TableInterface, UUID: row.UUID, Set: set, Delete: del}}); err != nil {
		return err
	}
	out := output(cmd)
	for _, k := range slices.Sorted(maps.Keys(set)) {
		out.Printf("%s %s=%s\n", port, k, set[k])
	}
	for _, k := range del {
		if v, ok := row.ExternalIDs[k]; ok {
			out.Printf("%s %s removed (was %s)\n", port, k, v)
		}
	}
	if !config.Guarded {
		out.Printf("Bridge %s isn't guarded, so nothing is enforced (opt it in with: vifguard guard %s)\n", b.Name, b.Name)
		return nil
	}
	out.Styled(term.Plain, report.Verdict(&policy)+"\n")
	for _, p := range policy.Problems {
		out.Printf("still wrong: %v\n", p)
	}
	return nil
}

// profileHint lists the profiles, and names the nearest, when an unknown one is among
// the problems.
func profileHint(bad model.Problems, profiles map[string]string) string {
	for _, p := range bad {
		if p.Key != model.KeyProfile {
			continue
		}
		if len(profiles) == 0 {
			return "; this host has none"
		}
		names := slices.Sorted(maps.Keys(profiles))
		return fmt.Sprintf(" (there are: %s)%s", strings.Join(names, ", "), exit.DidYouMean(p.Value, names))
	}
	return ""
}

// caused returns the problems of keys that are being written. A missing MAC isn't one:
// it may be written later, and blocks the VIF until then.
func caused(problems model.Problems, set map[string]string) model.Problems {
	var bad model.Problems
	for _, p := range problems {
		if _, ok := set[p.Key]; ok {
			bad = append(bad, p)
		}
	}
	return bad
}
