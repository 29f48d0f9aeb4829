//go:build man

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// generators returns a command that writes the manual, one page a command. It is part
// of builds with the tag man only, so that the agent has no text formatter in it.
func generators() []*cobra.Command {
	return []*cobra.Command{{
		Use:    "man DIRECTORY",
		Short:  "Write manual pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			for _, c := range root.Commands() {
				if c.Name() == "completion" {
					c.Hidden = true // Debian's package has them installed
				}
			}
			root.DisableAutoGenTag = true
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			header := &doc.GenManHeader{
				Section: "8", Manual: "System administration",
				Source: fmt.Sprintf("vifguard %s", version()),
			}
			return doc.GenManTree(root, header, args[0]) // dated by SOURCE_DATE_EPOCH
		},
	}}
}
