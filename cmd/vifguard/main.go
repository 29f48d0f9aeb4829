// Command vifguard is port security for Open vSwitch hosts: the agent that enforces
// it, and the tool that configures and explains it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, newRoot(os.Stdout, os.Stderr))
	stop()
	os.Exit(code)
}

// execute runs a command line, prints why it failed, and returns the exit code.
func execute(ctx context.Context, root *cobra.Command) int {
	err := root.ExecuteContext(ctx)
	if err != nil {
		sentence, usage := exit.Lines(err)
		remark(root, "%v", errors.New(sentence))
		fmt.Fprint(root.ErrOrStderr(), usage)
	}
	return exit.Code(err)
}

// options are the flags that every command has.
type options struct {
	endpoint string
	runDir   string
}

// newRoot returns the command line. Whatever it prints passes through a [term.Writer].
func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "vifguard",
		Short: "Port security for Open vSwitch hosts",
		Long: `vifguard lets a guest on an Open vSwitch bridge send only from its own MAC, claim
only its own addresses in ARP and neighbour discovery, and use only its own IP
sources. Every check can be lifted per VIF.

"vifguard run" is the agent. The other commands read and write the same keys in
OVSDB that the agent works from, and also work while it is down.

` + exit.Help,
		Example: `  vifguard guard br0                                  opt a bridge in
  vifguard set tap1 --mac 52:54:00:12:34:56 --address 192.0.2.10
  vifguard status                                     one line a VIF
  vifguard explain tap1                               why it may send what
  vifguard drops --follow                             what is dropped, why, and what it claimed
  vifguard trace tap1 FRAME                           what the switch does with a frame`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usageError(cmd, "%q is not a command%s", args[0], exit.DidYouMean(args[0], commandNames(cmd)))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(term.NewWriter(stdout))
	root.SetErr(term.NewWriter(stderr))
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", fmt.Sprintf("FlagUsagesWrapped %d", term.MaxColumns)))
	root.PersistentFlags().StringVar(&o.endpoint, "ovsdb", "unix:/run/openvswitch/db.sock", "ovsdb-server to use")
	root.PersistentFlags().StringVar(&o.runDir, "rundir", "", "directory of the bridges' management sockets (default: that of the --ovsdb socket)")
	root.AddCommand(
		newRun(&o),
		newStatus(&o), newExplain(&o), newTrace(&o), newDrops(&o), newVerify(&o), newAddresses(&o), newWait(&o),
		newAdvise(&o), newTop(&o),
		newGuard(&o), newRelease(&o), newObserve(&o), newEnforce(&o), newSet(&o), newUnset(&o),
		newLibvirtHook(&o), newVersion(),
	)
	root.AddCommand(generators()...)
	o.complete(root)
	return root
}

// output returns what a command prints its answer to.
func output(cmd *cobra.Command) *term.Writer { return term.NewWriter(cmd.OutOrStdout()) }

// remark prints a line beside the answer.
func remark(cmd *cobra.Command, format string, values ...any) {
	term.NewWriter(cmd.ErrOrStderr()).Printf("vifguard: "+format+"\n", values...)
}
