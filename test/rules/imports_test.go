// Package rules holds tests about the shape of the code itself.
package rules

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/vifguard/vifguard/"

// allowed says which packages of the module each package may import, and which
// third-party modules. Packages that aren't listed are free.
var allowed = map[string]struct {
	own   []string
	third []string
}{
	"model":                     {},
	"model/frame":               {own: []string{"model"}},
	"flows":                     {own: []string{"model"}},
	"ovsdb":                     {own: []string{"model"}, third: []string{"github.com/ovn-org/libovsdb", "github.com/cenkalti/rpc2", "github.com/sirupsen/logrus", "github.com/go-logr/logr"}},
	"controller/openflow":       {own: []string{"flows", "model"}, third: []string{"github.com/contiv/libOpenflow"}},
	"controller/drops":          {own: []string{"model", "model/frame"}, third: []string{"github.com/sirupsen/logrus"}},
	"controller/advice":         {own: []string{"controller/drops", "model", "model/frame"}},
	"controller/control":        {own: []string{"controller/drops"}},
	"controller/unixctl":        {},
	"controller/exposure":       {own: []string{"controller/openflow", "flows", "model"}},
	"controller/exposure/probe": {own: []string{"controller/exposure", "controller/openflow", "controller/unixctl", "flows", "model"}},
	"controller/metrics":        {third: []string{"github.com/prometheus/client_golang"}},
	"controller/inspect":        {own: []string{"controller/exposure", "controller/exposure/probe", "controller/openflow", "controller/unixctl", "flows", "model"}},
	"controller/bridge":         {own: []string{"controller/drops", "controller/exposure", "controller/exposure/probe", "controller/metrics", "controller/openflow", "flows", "model"}, third: []string{"github.com/sirupsen/logrus"}},
	"controller/agent":          {own: []string{"controller/bridge", "controller/control", "controller/drops", "controller/exposure", "controller/metrics", "controller/openflow", "model", "ovsdb"}, third: []string{"github.com/sirupsen/logrus"}},
	"cmd/vifguard/libvirt":      {own: []string{"model"}},
	"cmd/vifguard/term":         {third: []string{"golang.org/x/sys"}},
	"cmd/vifguard/exit":         {own: []string{"controller/openflow", "ovsdb"}},
	"cmd/vifguard/report":       {own: []string{"cmd/vifguard/term", "controller/advice", "controller/exposure", "controller/inspect", "flows", "model", "model/frame"}},
	"cmd/vifguard/top":          {own: []string{"cmd/vifguard/report", "cmd/vifguard/term", "controller/control", "controller/drops"}, third: []string{"golang.org/x/sys"}},
	"cmd/vifguard/serve": {
		own:   []string{"cmd/vifguard/term", "controller/agent", "controller/bridge", "controller/control", "controller/drops"},
		third: []string{"github.com/coreos/go-systemd", "github.com/sirupsen/logrus"},
	},
	// The commands work without the agent, and link it for "vifguard run" alone.
	"cmd/vifguard": {
		own: []string{
			"cmd/vifguard/exit", "cmd/vifguard/libvirt", "cmd/vifguard/report", "cmd/vifguard/serve", "cmd/vifguard/term", "cmd/vifguard/top",
			"controller/advice", "controller/control", "controller/drops", "controller/exposure", "controller/exposure/probe", "controller/inspect", "model", "model/frame", "ovsdb",
		},
		third: []string{"github.com/spf13"},
	},
}

// pure lists the packages that are functions of values.
var pure = map[string]bool{"model": true, "model/frame": true, "flows": true, "controller/advice": true, "controller/exposure": true, "cmd/vifguard/libvirt": true}

// impure lists what the pure packages may not import from the standard library:
// everything that reads a clock, a socket, a file or writes a log.
var impure = []string{"os", "time", "log", "log/slog", "io/fs", "os/exec", "syscall", "math/rand", "math/rand/v2", "context", "sync"}

func TestImports(t *testing.T) {
	for pkg, rule := range allowed {
		for _, imported := range imports(t, pkg) {
			switch {
			case strings.HasPrefix(imported, module):
				if !oneOf(strings.TrimPrefix(imported, module), rule.own, false) {
					t.Errorf("%s imports %s", pkg, imported)
				}
			case strings.Contains(imported, "."):
				if !oneOf(imported, rule.third, true) {
					t.Errorf("%s imports %s", pkg, imported)
				}
			case pure[pkg] && oneOf(imported, impure, false):
				t.Errorf("%s is pure but imports %s", pkg, imported)
			}
		}
	}
}

func oneOf(s string, list []string, prefix bool) bool {
	for _, l := range list {
		if s == l || prefix && strings.HasPrefix(s, l+"/") {
			return true
		}
	}
	return false
}

func imports(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, module+pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", pkg, err, out)
	}
	return strings.Fields(string(out))
}
