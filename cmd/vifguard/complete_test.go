package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestCompletion(t *testing.T) {
	c := newConsole(t)
	c.MustBridge("br1")
	c.must("guard", "br0", "--checks", "mac")
	for _, tc := range []struct {
		line string
		want []string
	}{
		{"status ", []string{"br0\tguarded, mac", "br1\tnot guarded", "eth0\ton br0", "tap1\ton br0"}},
		{"observe br1 t", []string{"tap1\ton br0"}},
		{"observe br1 ", []string{"br0\tguarded, mac", "eth0\ton br0", "tap1\ton br0"}},
		{"explain t", []string{"tap1\ton br0"}},
		{"set t", []string{"tap1\ton br0"}},
		{"guard ", []string{"br0\tguarded, mac", "br1\tnot guarded"}},
		{"release br1", []string{"br1\tnot guarded"}},
		{"explain tap1 ", nil},
		{"set tap1 --action ", []string{"enforce", "observe"}},
		{"run --log-format ", []string{"auto", "text", "json", "journal"}},
	} {
		args := append([]string{cobra.ShellCompRequestCmd}, strings.Split(tc.line, " ")...)
		out := c.must(args...)
		var got []string
		for _, line := range strings.Split(out, "\n") {
			if line == "" || strings.HasPrefix(line, ":") || strings.HasPrefix(line, "Completion ended") {
				continue
			}
			got = append(got, line)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", tc.line, d)
		}
	}
}

// TestEveryNameIsCompleted fails when a command takes a PORT or a BRIDGE and no shell
// knows any.
func TestEveryNameIsCompleted(t *testing.T) {
	for _, cmd := range newRoot(io.Discard, io.Discard).Commands() {
		if (strings.Contains(cmd.Use, "PORT") || strings.Contains(cmd.Use, "BRIDGE")) && cmd.ValidArgsFunction == nil {
			t.Errorf("vifguard %s completes nothing", cmd.Use)
		}
	}
}

func TestCompletionWithoutOpenVSwitch(t *testing.T) {
	c := newConsole(t)
	out := c.must(cobra.ShellCompRequestCmd, "status", "--ovsdb", "unix:/nonexistent/db.sock", "")
	if !strings.HasPrefix(out, ":") {
		t.Errorf("completion without Open vSwitch: %q", out)
	}
}
