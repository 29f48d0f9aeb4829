package main

import (
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/test/lab"
)

// person sits before a terminal in which vifguard top runs.
type person struct {
	*console
	master, tty *os.File
	seen        buffer
	before      *unix.Termios
	program     *exec.Cmd
}

func (c *console) sitDown(program string, args ...string) *person {
	c.t.Helper()
	p := &person{console: c}
	var number int
	p.master, number = lab.NewTerminal(c.t)
	var err error
	if p.tty, err = lab.OpenTerminal(number); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { p.tty.Close() })
	p.resize(110, 20)
	if p.before, err = unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS); err != nil {
		c.t.Fatal(err)
	}
	p.program = exec.Command(program, append([]string{"--ovsdb", c.Endpoint(), "top", "--interval", "500ms", "--control", c.control()}, args...)...)
	p.program.Env = append(os.Environ(), "NO_COLOR=1")
	p.program.Stdin, p.program.Stdout, p.program.Stderr = p.tty, p.tty, p.tty
	p.program.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := p.program.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("the screen:\n%s", p.screen())
		}
	})
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := p.master.Read(b)
			if err != nil {
				return
			}
			_, _ = p.seen.Write(b[:n])
		}
	}()
	return p
}

func (p *person) resize(columns, lines uint16) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: lines}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// screen is what was drawn last as a whole.
func (p *person) screen() string {
	all := p.seen.String()
	end := strings.LastIndex(all, "\x1b[J")
	if end < 0 {
		return ""
	}
	begin := strings.LastIndex(all[:end], "\x1b[H")
	return regexp.MustCompile(`\x1b\[[0-9?;]*[A-Za-z]`).ReplaceAllString(all[begin:end], "")
}

// sees waits until a line of the screen matches.
func (p *person) sees(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	p.MustWait("a line like "+pattern, func() (bool, error) {
		return re.MatchString(strings.ReplaceAll(p.screen(), "\r", "")), nil
	})
}

// leaves waits for the end of the program and looks at what it left behind.
func (p *person) leaves() {
	p.t.Helper()
	if err := p.program.Wait(); err != nil {
		p.t.Errorf("top: %v\n%s", err, p.seen.String())
	}
	after, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil || *after != *p.before {
		p.t.Errorf("the terminal isn't as it was: %+v, %v; want %+v", after, err, p.before)
	}
	p.MustWait("the alternate screen to be left", func() (bool, error) {
		return strings.HasSuffix(p.seen.String(), "\x1b[?7h\x1b[?25h\x1b[?1049l"), nil
	})
}

func TestTopOnATerminal(t *testing.T) {
	c := newConsole(t)
	c.MustPort("br0", "web2", lab.PortOptions{OFPort: 3, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:02", "allowed-addresses": "192.0.2.2"}})
	program := build(t)
	c.must("guard", "br0")
	p := c.sitDown(program)
	p.sees(`^no claims: no agent answers`)
	stop := c.agent()
	defer func() { stop() }()
	p.sees(`^>tap1 +br0 +\S+ +enforced +0 +0 +- +-`)
	p.sees(`^ web2 .* enforced`)

	p.press("j")
	p.sees("^>web2")
	p.press("k")
	p.sees("^>tap1")

	// A VIF that drops rises to the top; the marked one stays marked.
	spoof := lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:02"), netip.MustParseAddr("192.0.2.1"))
	first := regexp.MustCompile(`\n web2 .* [0-9.]+ +[1-9][0-9]* +arp +ARP announcement: 192`)
	p.MustWait("web2 to rise", func() (bool, error) {
		p.MustInject("web2", spoof)
		p.MustPurge()
		lines := strings.Split(strings.ReplaceAll(p.screen(), "\r", ""), "\n")
		return len(lines) > 3 && first.MatchString("\n"+lines[2]) && strings.HasPrefix(lines[3], ">tap1"), nil
	})
	p.press("p")
	p.sees("PAUSED")
	p.press("\x1b[A")
	p.sees("^>web2")
	p.press("s")
	p.sees("by total")
	p.press("s")
	p.sees("by name")
	p.press("p")

	p.press("/WEB")
	p.sees("^filter: WEB_")
	p.press("\r")
	p.sees(`filter "WEB": 1`)
	if strings.Contains(p.screen(), "tap1 ") {
		t.Errorf("the filter lets tap1 through:\n%s", p.screen())
	}
	p.press("\r")
	p.sees("^web2 on bridge br0, OpenFlow port 3")
	p.resize(60, 8)
	p.sees("lines 1 to 6 of")
	p.press("G")
	p.sees("Packets that none of these lets on")
	p.press("q")
	p.sees("^>web2")
	p.press("\x1b")
	p.sees("^ tap1|^>tap1")
	p.press("?")
	p.sees("sort by drops per second")
	p.press("q")
	p.sees("^>web2")
	p.press("q")
	p.leaves()

	// However it ends.
	for name, end := range map[string]func(p *person){
		"Ctrl-C": func(p *person) { p.press("\x03") },
		"Esc":    func(p *person) { p.press("\x1b") },
		"SIGTERM": func(p *person) {
			if err := p.program.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		},
		"SIGHUP": func(p *person) {
			if err := p.program.Process.Signal(syscall.SIGHUP); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Log(name)
		p := c.sitDown(program, "br0")
		p.sees("vifguard top: br0 .* 2 VIFs")
		end(p)
		p.leaves()
	}
}

func TestTopRefuses(t *testing.T) {
	c := newConsole(t)
	c.fails(exit.Usage, "top needs a terminal for input and output (use vifguard status --watch)", "top")
	c.fails(exit.Usage, "--interval: 1ms is too short", "top", "--interval", "1ms")
	c.fails(exit.Usage, "too many arguments", "top", "a", "b")
}
