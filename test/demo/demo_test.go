package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/vifguard/vifguard/test/lab"
)

// buildProgram builds a program of this module and returns its path.
func buildProgram(t *testing.T, dir, name, pkg string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := lab.GoBuild(path, pkg); err != nil {
		t.Fatal(err)
	}
	return path
}

// shortDir is an empty directory whose path leaves room for socket names; it must
// be empty again when the test ends.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "vd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("files are left: %v", err)
			os.RemoveAll(dir)
		}
	})
	return dir
}

// Every line of the demo comes out as it should, and the output is what a person
// without a colour terminal can read.
func TestScenario(t *testing.T) {
	lab.Need(t, lab.Root, lab.OVS, lab.Netns)
	program := buildProgram(t, t.TempDir(), "vifguard", "../../cmd/vifguard")
	t.Setenv("TMPDIR", shortDir(t))
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ok, err := run(t.Context(), program, out)
	if err != nil {
		t.Error(err)
	}
	printed, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !ok || t.Failed() {
		t.Errorf("not everything was as expected:\n%s", printed)
	}
	table, status, found := strings.Cut(string(printed), "   $ vifguard status\n")
	if !found || !strings.Contains(status, "mallory") {
		t.Errorf("no status:\n%s", status)
	}
	good, want := 0, 0
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ✓ ") {
			good++
		}
		if strings.HasPrefix(line, " ✗ ") {
			t.Error(line)
		}
		if utf8.RuneCountInString(line) > width || strings.HasSuffix(line, " ") || strings.Contains(line, "\x1b") {
			t.Errorf("unfit for printing: %q", line)
		}
	}
	for _, s := range scenario() {
		for _, st := range s.steps {
			if _, ok := st.(attempt); ok {
				want++
			}
		}
	}
	if good != want {
		t.Errorf("%d lines are good, the scenario has %d", good, want)
	}
}

// A wrong expectation is noticed, whichever way it is wrong.
func TestFailureIsNoticed(t *testing.T) {
	lab.Need(t, lab.Root, lab.OVS, lab.Netns)
	program := buildProgram(t, t.TempDir(), "vifguard", "../../cmd/vifguard")
	t.Setenv("TMPDIR", shortDir(t))
	s, err := build(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	wrong := situation{"wrong", "Nothing of this is true.", []step{
		attempt{mallory, "frame that nobody stops", frame(stolenMAC()), bob, drop("mac")},
		vifguard("guard br-public"),
		vifguard("set mallory --mac 52:54:00:00:00:66 --address 198.51.100.102"),
		attempt{mallory, "frame that is stopped", frame(stolenMAC()), bob, pass},
		attempt{mallory, "frame that is stopped for another reason", frame(stolenMAC()), bob, drop("arp")},
		attempt{mallory, "ping that nobody counts", ping(bob.ip4), bob, observed("ip")},
		attempt{mallory, "ping of nobody", ping(elsewhereOnLink), bob, pass},
	}}
	p := &printer{out: io.Discard}
	passed, failed, err := play(s, []situation{wrong}, p)
	if passed != 0 || failed != 5 || err != nil {
		t.Errorf("%d passed, %d failed, error %v; all 5 attempts had to fail", passed, failed, err)
	}
}

// elsewhereOnLink is an address that nobody has.
var elsewhereOnLink = ip("198.51.100.254")

// Interrupted at any time, the demo leaves no process, file, link or mount.
func TestInterruptedLeavesNothing(t *testing.T) {
	lab.Need(t, lab.Root, lab.OVS, lab.Netns)
	bin := t.TempDir()
	buildProgram(t, bin, "vifguard", "../../cmd/vifguard")
	demo := buildProgram(t, bin, "demo", ".")
	for _, tt := range []struct {
		name   string
		after  string // line of the output
		signal os.Signal
	}{
		{"SIGTERM at the start", "A private Open vSwitch", syscall.SIGTERM},
		{"SIGINT between guests", "1  Plain VM", os.Interrupt},
		{"SIGHUP in the middle", "2  Firewall", syscall.SIGHUP},
		{"closed pipe", "0  Before", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			outside, err := lab.NewNamespace() // stands in for the host
			if err != nil {
				t.Fatal(err)
			}
			defer outside.Close()
			cmd := exec.CommandContext(t.Context(), demo)
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			cmd.Stdout = write
			if err := outside.Do(cmd.Start); err != nil {
				t.Fatal(err)
			}
			write.Close()
			lines := bufio.NewScanner(read)
			for lines.Scan() && !strings.HasPrefix(lines.Text(), tt.after) {
			}
			if tt.signal == nil {
				read.Close()
			} else if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Error(err)
			}
			var failed *exec.ExitError
			if _, err := io.Copy(io.Discard, read); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
			if err := cmd.Wait(); !errors.As(err, &failed) || failed.ExitCode() != 1 {
				t.Errorf("it ended with %v, want exit status 1", err)
			}
			if found := processesWith(t, "TMPDIR="+dir); len(found) > 0 {
				t.Errorf("processes are left: %v", found)
			}
			var links []net.Interface
			if err := outside.Do(func() (err error) {
				links, err = net.Interfaces()
				return err
			}); err != nil || len(links) != 1 {
				t.Errorf("links beside the loopback are left: %v, error %v", links, err)
			}
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil || strings.Contains(string(mounts), dir) {
				t.Errorf("mounts are left, error %v:\n%s", err, mounts)
			}
		})
	}
}

// processesWith lists the processes that have a variable in their environment,
// which they inherit.
func processesWith(t *testing.T, variable string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		environ, err := os.ReadFile(path)
		if err == nil && slices.Contains(strings.Split(string(environ), "\x00"), variable) {
			found = append(found, path)
		}
	}
	return found
}

func TestWrap(t *testing.T) {
	const command = "vifguard set web1 --mac 52:54:00:00:00:31 --pair 198.51.100.30,2001:db8::30"
	for _, tt := range []struct {
		width int
		want  []string
	}{
		{100, []string{command}},
		{50, []string{`vifguard set web1 --mac 52:54:00:00:00:31 \`, "--pair 198.51.100.30,2001:db8::30"}},
		{20, []string{`vifguard set web1 \`, `--mac \`, `52:54:00:00:00:31 \`, `--pair \`, "198.51.100.30,2001:db8::30"}},
	} {
		if got := wrap(command, tt.width); !slices.Equal(got, tt.want) {
			t.Errorf("wrap to %d: %q, want %q", tt.width, got, tt.want)
		}
	}
}

func TestColours(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if newPrinter(file).colours {
		t.Error("a file gets colours")
	}
	coloured := &printer{colours: true}
	if got := coloured.paint(green, "x"); got != "\x1b[32mx\x1b[0m" {
		t.Errorf("green is %q", got)
	}
}
