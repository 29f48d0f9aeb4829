package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/model"
)

// Every key has its flag in the commands that write it, and a shell completes its values.
func TestEveryKeyHasItsFlag(t *testing.T) {
	for _, tc := range []struct {
		command string
		at      model.Place
		usage   func(*model.Key) string
	}{
		{"set", model.OnInterface, func(k *model.Key) string { return k.Usage }},
		{"unset", model.OnInterface, func(k *model.Key) string { return "remove " + k.Name }},
		{"guard", model.OnBridge, func(k *model.Key) string { return k.BridgeUsage }},
	} {
		cmd, _, err := newRoot(io.Discard, io.Discard).Find([]string{tc.command})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range model.Keys(tc.at) {
			f := cmd.Flags().Lookup(k.Flag)
			if f == nil || f.Usage != tc.usage(k) {
				t.Errorf("vifguard %s: flag --%s for %s: %+v", tc.command, k.Flag, k.Name, f)
				continue
			}
			if tc.command != "unset" && k.Values != nil {
				if got := completed(t, tc.command, "x", "--"+k.Flag, ""); strings.Join(got, " ") != strings.Join(k.Values, " ") {
					t.Errorf("vifguard %s --%s completes %q, want %q", tc.command, k.Flag, got, k.Values)
				}
			}
		}
	}
}

// completed is what a shell would propose.
func completed(t *testing.T, args ...string) []string {
	t.Helper()
	var out bytes.Buffer
	root := newRoot(io.Discard, io.Discard)
	root.SetArgs(append([]string{cobra.ShellCompNoDescRequestCmd}, args...))
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	proposals, _, _ := strings.Cut(out.String(), "\n:")
	return strings.Split(proposals, "\n")
}
