//go:build datapath

package datapath

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

var (
	images = flag.String("datapath.images", "", "the directory of the machines that image.sh made")
	fuzz   = flag.Duration("datapath.fuzz", 45*time.Second, "how long sequences of frames are fuzzed on each datapath")
	seed   = flag.String("datapath.seed", "1", "the seed of all that is random")
	only   = flag.String("datapath.only", ".", "a regular expression: run the commands whose names match, such as frames, order or demo")
	extra  = flag.String("datapath.args", "", "further arguments of the conformance tests")
)

// suites are the Debian releases: the first one runs everything.
var suites = []string{"bookworm", "trixie"}

// patience bounds the life of a machine.
const patience = 20 * time.Minute

// builds are the programs that run in the machines: there is no Go in them.
var builds = map[string][]string{
	"vifguard":         {"build", "../../cmd/vifguard"},
	"demo":             {"build", "../demo"},
	"conformance.test": {"test", "-c", "../conformance"},
	"fault.test":       {"test", "-c", "../fault"},
	"lab.test":         {"test", "-c", "../lab"},
}

// build puts the programs into a directory.
func build(t *testing.T) (programs []string) {
	t.Helper()
	dir := t.TempDir()
	for name, how := range builds {
		path := filepath.Join(dir, name)
		last := len(how) - 1
		args := slices.Concat(how[:last], []string{"-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", path}, how[last:])
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		programs = append(programs, path)
	}
	return programs
}

// conformance is a run of tests of the conformance suite.
func conformance(name, run string, args ...string) command {
	line := append([]string{"./conformance.test -test.timeout=0 -test.v", "-test.run='" + run + "'"}, args...)
	return command{name, strings.Join(append(line, *extra), " ")}
}

// verdicts are the tests of what passes and what is dropped.
func verdicts() []command {
	return []command{
		{"lab", "./lab.test -test.v -test.run='Guest|Chosen'"},
		conformance("frames", "^TestWire$"),
		conformance("shuffled", "^TestShuffled$", "-conformance.shuffle="+*seed),
		conformance("order", "^TestOrder$", "-conformance.part=23"),
		conformance("sequences", "^TestSequences$", "-conformance.sequences="+fuzz.String(), "-conformance.seed="+*seed),
	}
}

// TestDatapaths boots a machine for each datapath and runs there what proves verdicts,
// faults and the demo.
func TestDatapaths(t *testing.T) {
	if *images == "" {
		t.Fatal("-datapath.images is missing: make datapath-test runs this, with machines that it makes")
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		t.Fatalf("-datapath.only: %v", err)
	}
	programs := build(t)
	for _, m := range []struct {
		name, suite, datapath string
		commands              []command
	}{
		{"kernel", "bookworm", "system", verdicts()},
		{"tc", "bookworm", "tc", verdicts()},
		{"faults", "bookworm", "system", []command{
			{"demo", "./demo"},
			{"faults", "./fault.test -test.v -test.timeout=0 -test.run='^TestFaults$'"},
		}},
		{"kernel of trixie", "trixie", "system", verdicts()[:3]},
		{"tc of trixie", "trixie", "tc", verdicts()[:3]},
	} {
		m.commands = slices.DeleteFunc(m.commands, func(c command) bool { return !wanted.MatchString(c.name) })
		if len(m.commands) == 0 {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			vm := machine{image: filepath.Join(*images, m.suite), programs: programs, commands: m.commands,
				env: []string{lab.DatapathVariable + "=" + m.datapath}}
			vm.play(t, patience+*fuzz)
		})
	}
}
