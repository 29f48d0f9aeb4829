package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
)

// usageError says what is wrong with a command line, and where to read on.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	usage := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	if cmd.HasSubCommands() {
		usage += " COMMAND"
	}
	return exit.UsageErrorf(fmt.Sprintf("usage: %s\nSee: %s --help\n", usage, cmd.CommandPath()), format, args...)
}

// arguments returns a check that a command has between least and most arguments; most
// is -1 where there is no limit.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError(cmd, "%s: an argument is missing", cmd.Name())
		case most == 0 && len(args) > 0:
			return usageError(cmd, "%s takes no arguments, but got %q", cmd.Name(), args[0])
		case most > 0 && len(args) > most:
			return usageError(cmd, "%s: too many arguments from %q on", cmd.Name(), args[most])
		}
		return nil
	}
}

// flagError is what cobra calls for a flag that it can't use.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		if near := exit.Nearest(name, flagNames(cmd)); near != "" {
			text += fmt.Sprintf(" (did you mean --%s?)", near)
		}
	}
	return usageError(cmd, "%s", text)
}

// outputUsage is the usage of every command's flag -o.
const outputUsage = "text, or json (docs/json.md describes it)"

// checkFormat refuses an unknown format of a flag -o.
func checkFormat(cmd *cobra.Command, format, plain string) error {
	if format != plain && format != "json" {
		return usageError(cmd, "-o: %q is not a format (want %s or json)", format, plain)
	}
	return nil
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return names
}
