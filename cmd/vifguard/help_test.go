package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

// Every command explains itself, has examples, and fits a terminal of 100 columns.
func TestHelp(t *testing.T) {
	root := newRoot(io.Discard, io.Discard)
	commands := append([]*cobra.Command{root}, root.Commands()...)
	if len(commands) < 15 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, cmd := range commands {
		if cmd.Long == "" || cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s lacks a description or examples", cmd.CommandPath())
		}
		if strings.HasSuffix(cmd.Short, ".") || utf8.RuneCountInString(cmd.Short) > 70 {
			t.Errorf("%s: the summary %q is a sentence or too long", cmd.CommandPath(), cmd.Short)
		}
		for _, line := range strings.Split(cmd.Example, "\n") {
			if !strings.HasPrefix(line, "  ") || cmd != root && !strings.Contains(line, "vifguard "+cmd.Name()) && !strings.Contains(cmd.Example, "vifguard "+cmd.Name()) {
				t.Errorf("%s: example %q", cmd.CommandPath(), line)
			}
		}
		var help bytes.Buffer
		cmd.SetOut(&help)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(help.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > term.MaxColumns && !strings.Contains(line, "ffffffffffff") { // a frame
				t.Errorf("%s: a line of its help has %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
	}
}

// The examples are real: every command and flag in them exists.
func TestExamplesParse(t *testing.T) {
	root := newRoot(io.Discard, io.Discard)
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		for _, line := range strings.Split(cmd.Example, "\n") {
			for _, part := range strings.Split(line, "&&") {
				words := strings.Fields(part)
				if len(words) < 2 || words[0] != "vifguard" {
					continue
				}
				target, rest, err := root.Find(words[1:])
				if err != nil || target == root {
					t.Errorf("%s: example %q: no such command (%v)", cmd.CommandPath(), part, err)
					continue
				}
				for _, word := range rest {
					name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
					if strings.HasPrefix(word, "--") && target.Flags().Lookup(name) == nil && root.PersistentFlags().Lookup(name) == nil {
						t.Errorf("%s: example %q: no flag %s", cmd.CommandPath(), part, word)
					}
				}
			}
		}
	}
}
