package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/serve"
	"github.com/vifguard/vifguard/model"
)

// completionTimeout is how long a shell waits for names out of OVSDB.
const completionTimeout = 2 * time.Second

// words are the values of flags that have few.
func words() map[string][]string {
	all := map[string][]string{
		"log-level":  {"error", "warn", "info", "debug"},
		"log-format": serve.LogFormats(),
	}
	for _, k := range model.Keys(model.OnInterface | model.OnBridge) {
		if k.Values != nil {
			all[k.Flag] = k.Values
		}
	}
	return all
}

// complete lets a shell complete names of ports and bridges for every command whose
// first argument is a PORT or a BRIDGE, and the values of flags that have few.
func (o *options) complete(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = o.names(cmd.Use)
		}
		for flag, values := range words() {
			if f := cmd.Flags().Lookup(flag); f != nil && f.Value.Type() != "bool" {
				fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
				// It fails only where the command has its own already.
				_ = cmd.RegisterFlagCompletionFunc(flag, fixed)
			}
		}
	}
}

// names completes what a command calls its first argument, e.g. "status [BRIDGE|PORT]",
// out of OVSDB; nil when that is neither a bridge nor a port. Whatever goes wrong is no
// concern of somebody who is still typing.
func (o *options) names(use string) cobra.CompletionFunc {
	_, argument, _ := strings.Cut(use, " ")
	argument, _, _ = strings.Cut(argument, " ")
	var lists []func(*model.Host) []string
	for _, kind := range strings.Split(strings.Trim(argument, "[]."), "|") {
		switch kind {
		case "BRIDGE":
			lists = append(lists, bridgeCompletions)
		case "PORT":
			lists = append(lists, portCompletions)
		}
	}
	if lists == nil {
		return nil
	}
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !strings.Contains(argument, "...") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		s, err := o.open(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer s.close()
		var all []string
		for _, list := range lists {
			all = append(all, list(s.Host())...)
		}
		slices.Sort(all)
		given := make(map[string]bool) // a bridge's own port has its name
		for _, name := range args {
			given[name] = true
		}
		return slices.DeleteFunc(all, func(line string) bool {
			name, _, _ := strings.Cut(line, "\t")
			skip := given[name] || !strings.HasPrefix(name, prefix)
			given[name] = true
			return skip
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// portCompletions lists every interface with its bridge as the description.
func portCompletions(h *model.Host) []string {
	var all []string
	for _, b := range h.Bridges {
		for _, i := range b.Interfaces {
			all = append(all, cobra.CompletionWithDesc(i.Name, "on "+b.Name))
		}
	}
	return all
}

// bridgeCompletions lists every bridge, and says which are guarded.
func bridgeCompletions(h *model.Host) []string {
	var all []string
	for _, b := range h.Bridges {
		state := "not guarded"
		if c := model.ResolveBridge(b); c.Guarded {
			state = fmt.Sprintf("guarded, %s", b.ExternalIDs[model.KeyChecks])
		}
		all = append(all, cobra.CompletionWithDesc(b.Name, state))
	}
	return all
}
