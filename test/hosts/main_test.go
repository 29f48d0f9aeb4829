//go:build lab

package hosts

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

func TestMain(m *testing.M) {
	path := flag.String("report", "", "file to write the report to")
	flag.Parse()
	for _, h := range []host{host1, host2} {
		// Without Docker at all, the scenarios say so themselves.
		if exec.Command("docker", "version").Run() != nil {
			break
		}
		if out, err := exec.Command("docker", "exec", h.container(), "test", "-e", "/run/openvswitch/booted").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s isn't up: %v: %s(bring the lab up with: make lab)\n", h, err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	if err := report.publish(*path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
