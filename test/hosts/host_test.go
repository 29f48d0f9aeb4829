//go:build lab

package hosts

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// host is one host of the lab: the name of its service in docker-compose.yml.
type host string

const (
	host1 host = "host1"
	host2 host = "host2"
)

func (h host) container() string { return "vifguard-" + string(h) }

// command is a program in the host. Its standard input ends with the command, for
// until-eof: a program in a container doesn't end with its docker exec.
func (h host) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"exec", "-i", h.container()}, args...)...)
}

// try runs a program in the host and returns what it printed.
func (h host) try(ctx context.Context, args ...string) (string, error) {
	out, err := h.command(ctx, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s: %w\n%s", h, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// guest is a virtual machine of the lab: a network namespace whose eth0 is a port of the
// host's bridge that has the guest's name.
type guest struct {
	name  string
	host  host
	mac   string
	addrs []string // with prefix lengths, the IPv4 address first
}

// newGuest derives MAC and addresses from one byte, in hexadecimal.
func newGuest(name string, h host, last byte) guest {
	return guest{name: name, host: h, mac: fmt.Sprintf("52:54:00:00:00:%02x", last), addrs: []string{
		fmt.Sprintf("198.51.100.%d/24", last), fmt.Sprintf("2001:db8::%x/64", last),
	}}
}

// ip returns the guest's n-th address without its length.
func (g guest) ip(n int) string {
	addr, _, _ := strings.Cut(g.addrs[n], "/")
	return addr
}

func (g guest) ip4() string { return g.ip(0) }
func (g guest) ip6() string { return g.ip(1) }

// own are the arguments of "vifguard set" for the guest's own MAC and addresses.
func (g guest) own() []string {
	addrs := make([]string, len(g.addrs))
	for i := range g.addrs {
		addrs[i] = g.ip(i)
	}
	return []string{"--mac", g.mac, "--address", strings.Join(addrs, ",")}
}

// in is a command of the host that runs a program in the guest.
func (g guest) in(args ...string) []string {
	return append([]string{"guest", "run", g.name}, args...)
}
