//go:build !man

package main

import "github.com/spf13/cobra"

// generators: see man.go.
func generators() []*cobra.Command { return nil }
