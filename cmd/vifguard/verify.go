package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

// verifyResult is one bridge in the JSON output of verify. Its schema is stable.
type verifyResult struct {
	Bridge      string             `json:"bridge"`
	Guarded     bool               `json:"guarded"`
	Agrees      bool               `json:"agrees"`
	Flows       int                `json:"flows"`           // that OVSDB asks for
	Error       string             `json:"error,omitempty"` // why the switch couldn't be read
	Differences []verifyDifference `json:"differences"`
}

type verifyDifference struct {
	Kind   string `json:"kind"` // missing, changed, unexpected, foreign, fragments, status or unusable
	Port   string `json:"port,omitempty"`
	VM     string `json:"vm,omitempty"`
	Reason string `json:"reason,omitempty"` // the drop reason that the flow counts
	Why    string `json:"why"`
	Want   string `json:"want,omitempty"` // what OVSDB asks for
	Have   string `json:"have,omitempty"` // what there is
}

// Limits of verify.
const (
	shownDifferences = 40                     // of a bridge, without --all
	verifyLooks      = 3                      // before a difference counts: an agent may be at work
	verifyPause      = 300 * time.Millisecond // between two looks
)

func newVerify(o *options) *cobra.Command {
	var format string
	var all bool
	cmd := &cobra.Command{
		Use:   "verify [BRIDGE...]",
		Short: "Compare the switch with what OVSDB asks for",
		Long: `Compare bridges with what OVSDB asks for, flow by flow: without arguments all of the
host, of which those that aren't guarded must hold nothing of vifguard's. It changes
nothing and works without the agent. A difference counts when it is still there after a
second, so that an agent at work doesn't make it fail.

It prints "-" for what is asked for and "+" for what there is, and whose it is:
  missing     a flow isn't there
  changed     a flow has other actions, or another owner
  unexpected  a flow of vifguard's that nothing asks for
  foreign     a flow of somebody else takes precedence over the checks
  fragments   the switch's fragment mode blinds the guards
  status      a status key (vifguard-state, -checks, -error, -seq, -flood) says something else
  unusable    the bridge's own metadata can't be used

Exit codes: 0 everything agrees; 1 something differs; 3, 4 or 5 a switch can't be read.`,
		Example: `  vifguard verify                      every bridge of the host
  vifguard verify br0 --all            every difference, however many
  vifguard verify -o json || alert     for monitoring`,
		Args: arguments(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			results, err := s.verify(args)
			if results == nil {
				return err
			}
			if format == "json" {
				if failed := output(cmd).JSON(results); failed != nil {
					return failed
				}
				return err
			}
			for i := range results {
				results[i].print(output(cmd), all)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, fmt.Sprintf("print every difference, and not only the first %d of each bridge", shownDifferences))
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}

// verify compares the named bridges, or all. The results are nil if a name is wrong;
// the error is that of the first switch that can't be read, or says that some differ.
func (s *session) verify(names []string) ([]verifyResult, error) {
	host := s.Host()
	named := len(names) > 0
	for _, name := range names {
		if _, err := findBridge(host, name); err != nil {
			return nil, err
		}
	}
	if !named {
		names = bridgeNames(host)
	}
	results := make([]verifyResult, 0, len(names))
	var unread error
	differ := 0
	for _, name := range names {
		r, err := s.verifyBridge(name)
		if err != nil {
			err = explainSwitch(name, s.runDir, err)
			if r.Guarded || named {
				r.Error = err.Error()
				if unread == nil {
					unread = err
				}
			}
		}
		r.Agrees = err == nil && len(r.Differences) == 0
		if len(r.Differences) > 0 {
			differ++
		}
		results = append(results, r)
	}
	switch {
	case unread != nil:
		return results, unread
	case differ > 0:
		return results, fail(exitNo, "%d of %d bridges differ from what OVSDB asks for", differ, len(results))
	}
	return results, nil
}

// verifyBridge looks until a bridge agrees, or it has looked often enough.
func (s *session) verifyBridge(name string) (verifyResult, error) {
	r := verifyResult{Bridge: name, Differences: []verifyDifference{}}
	for look := 1; ; look++ {
		b := s.Host().Bridge(name)
		if b == nil {
			return r, nil // removed meanwhile
		}
		r.Guarded = model.ResolveBridge(b).Guarded
		v, err := inspect.Verify(s.ctx, b, s.Host().Profiles, s.runDir)
		if err != nil {
			return r, err
		}
		if len(v.Differences) == 0 || look == verifyLooks {
			r.Flows = v.Flows
			for i := range v.Differences {
				r.Differences = append(r.Differences, newDifference(&v.Differences[i]))
			}
			return r, nil
		}
		pause := time.NewTimer(verifyPause)
		select {
		case <-s.ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

func newDifference(d *inspect.Difference) verifyDifference {
	r := verifyDifference{Kind: string(d.Kind), Reason: d.Reason.String(), Why: d.Why, Want: d.Want, Have: d.Have}
	if d.Port != nil {
		r.Port, r.VM = d.Port.Name, d.Port.VMID()
	}
	return r
}

// print writes one line for a bridge that agrees, and the differences of one that
// doesn't.
func (r *verifyResult) print(out *term.Writer, all bool) {
	switch {
	case r.Error != "":
		out.Printf("%s: can't be read\n", r.Bridge)
		return
	case !r.Guarded && len(r.Differences) == 0 && r.Agrees:
		out.Printf("%s: not guarded, and nothing of vifguard's on it\n", r.Bridge)
		return
	case !r.Guarded && len(r.Differences) == 0:
		out.Printf("%s: not guarded\n", r.Bridge)
		return
	case len(r.Differences) == 0:
		out.Printf("%s: ", r.Bridge)
		out.Styled(term.Green, "agrees")
		out.Printf(", %d flows as OVSDB asks for, and nothing in their way\n", r.Flows)
		return
	}
	out.Printf("%s: ", r.Bridge)
	out.Styled(term.Red, "differs")
	out.Printf(": %s\n", r.summary())
	list := r.Differences
	if !all {
		list = r.digest(out)
	}
	for _, d := range list {
		d.print(out)
	}
	if n := len(r.Differences) - len(list); n > 0 {
		out.Printf("  and %d more (--all shows them)\n", n)
	}
}

// digest returns the differences to print where not all are wanted.
func (r *verifyResult) digest(out *term.Writer) []verifyDifference {
	isMissing := func(d verifyDifference) bool { return d.Kind == string(inspect.Missing) }
	rest := slices.DeleteFunc(slices.Clone(r.Differences), isMissing)
	if missing := len(r.Differences) - len(rest); r.Flows == 0 || missing < r.Flows {
		return r.Differences[:min(len(r.Differences), shownDifferences)]
	}
	out.Printf("  none of the %d flows is there: is the agent (vifguard run) running?\n", r.Flows)
	return rest[:min(len(rest), shownDifferences)]
}

// summary counts the differences by kind, in the order in which the kinds first come.
func (r *verifyResult) summary() string {
	var kinds []string
	count := make(map[string]int)
	for _, d := range r.Differences {
		if count[d.Kind] == 0 {
			kinds = append(kinds, d.Kind)
		}
		count[d.Kind]++
	}
	for i, k := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", count[k], k)
	}
	return strings.Join(kinds, ", ")
}

func (d *verifyDifference) print(out *term.Writer) {
	out.Printf("  %s: %s\n", d.Kind, d.headline())
	if d.Want != "" {
		out.Printf("    - %s\n", d.Want)
	}
	if d.Have != "" {
		out.Printf("    + %s\n", d.Have)
	}
}

// headline says whose a difference is, and what it is about.
func (d *verifyDifference) headline() string {
	var who []string
	if d.Port != "" {
		who = append(who, d.Port)
	}
	if d.VM != "" {
		who = append(who, "VM "+d.VM)
	}
	if d.Reason != "" {
		who = append(who, "reason "+d.Reason)
	}
	if len(who) == 0 {
		return d.Why
	}
	return strings.Join(who, ", ") + ": " + d.Why
}
