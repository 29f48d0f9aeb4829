// Command demo shows vifguard at work: on a private Open vSwitch, with guests that
// behave and guests that don't. It needs root, touches nothing of the host, and
// leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	program := flag.String("vifguard", defaultProgram(), "the vifguard program to show")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Show vifguard at work on a private Open vSwitch. Run it with: make demo\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	// A closed pipe (demo | head) must not end the program before it has cleaned up.
	ctx, cancel := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	ok, err := run(ctx, *program, os.Stdout)
	interrupted := ctx.Err() != nil
	cancel()
	var left *leftover
	switch {
	case interrupted && !errors.As(err, &left):
		fmt.Fprintln(os.Stderr, "\ndemo: interrupted; everything it started is gone")
	case err != nil:
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// defaultProgram is vifguard in the directory of this program.
func defaultProgram() string {
	self, err := os.Executable()
	if err != nil {
		return "vifguard"
	}
	return filepath.Join(filepath.Dir(self), "vifguard")
}

// prerequisites says what is missing and how to get it.
func prerequisites(program string) error {
	if os.Geteuid() != 0 {
		return errors.New("it makes network namespaces, so it must run as root: make demo uses sudo for that")
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("there is no %s: build it with make, or run make demo", program)
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: load the kernel module tun, or pass the device to the container", err)
	}
	tun.Close()
	var missing []string
	for _, name := range []string{"ovs-vswitchd", "ovsdb-server", "ip", "ping", "arping", "nft"} {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if _, err := exec.LookPath("/usr/sbin/" + name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("programs are missing: %s (make demo installs them)", strings.Join(missing, ", "))
	}
	return nil
}

// run gives the whole demo, printed to out, and tells whether everything went as expected.
func run(ctx context.Context, program string, out *os.File) (ok bool, err error) {
	if err := prerequisites(program); err != nil {
		return false, err
	}
	begin := time.Now()
	p := newPrinter(out)
	p.printf("%s\n", p.paint(bold, "vifguard: port security for Open vSwitch"))
	p.printf("A private Open vSwitch starts, with guests in network namespaces; the host's own isn't touched.\n")
	s, err := build(ctx, program)
	if errors.Is(err, os.ErrPermission) {
		return false, fmt.Errorf("%w (a container needs the capabilities NET_ADMIN and SYS_ADMIN, and a writable /proc/sys)", err)
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	p.printf("Every arrival is checked at the receiver, every drop by the counter of its reason.\n")

	passed, failed, err := play(s, scenario(), p)
	if err != nil {
		return false, err
	}
	p.printf("\n%s\n", p.paint(bold, "What the operator sees"))
	p.command("$", "vifguard status")
	status, err := s.tool("status").CombinedOutput()
	if err != nil {
		return false, fmt.Errorf("vifguard status: %w: %s", err, status)
	}
	p.printf("%s", status)
	verdict := p.paint(green, fmt.Sprintf("%d passed, %d failed", passed, failed))
	if failed > 0 {
		verdict = p.paint(red, fmt.Sprintf("%d passed, %d failed", passed, failed))
		p.printf("\nEnd of the agent's log:\n%s\n", s.log.Tail(logLines))
	}
	p.printf("\n%s in %.0f s. Read on in README.md; docs/pipeline.md explains the flows.\n", verdict, time.Since(begin).Seconds())
	return failed == 0, p.err
}
