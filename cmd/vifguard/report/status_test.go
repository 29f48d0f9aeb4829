package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

func TestTableFits(t *testing.T) {
	list := []Status{
		{Bridge: "br-with-long-nm", Port: "tap0123456789ab", VM: strings.Repeat("f", 36), State: "enforced", Checks: "mac,arp,ip",
			Addresses: []string{"2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", "192.0.2.1"}, Drops: map[string]uint64{"ip": 1 << 40, "arp": 1 << 41, "mac": 1 << 42, "nd": 9},
			Error: "allowed-addresses: \"oops\" is not an IP address (want e.g. 192.0.2.10, 192.0.2.0/24 or 2001:db8::/64) \x1b[2J"},
		{Bridge: "br0", Port: "tap1", State: "observed"},
	}
	for _, columns := range []int{100, 80} {
		var b bytes.Buffer
		out := term.NewWriter(&b)
		out.Columns, out.Terminal = columns, true
		PrintStatuses(out, list, nil)
		lines := strings.Split(b.String(), "\n")
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); columns == 100 && n > columns {
				t.Errorf("a line of %d columns: %s", n, line)
			}
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("metadata reaches the terminal:\n%q", b.String())
		}
		whole := strings.Join(strings.Fields(b.String()), " ")
		if !strings.Contains(whole, `tap0123456789ab: allowed-addresses: "oops" is not an IP address (want e.g. 192.0.2.10, 192.0.2.0/24 or 2001:db8::/64)`) {
			t.Errorf("the error isn't whole anywhere:\n%s", b.String())
		}
	}
}

// Colours are added, and say nothing that words don't.
func TestColours(t *testing.T) {
	list := []Status{{Bridge: "br0", Port: "tap1", State: "blocked", Error: "bad"}, {Bridge: "br0", Port: "tap2", State: "enforced"}}
	var plain, coloured bytes.Buffer
	PrintStatuses(term.NewWriter(&plain), list, nil)
	out := term.NewWriter(&coloured)
	out.Colours = true
	PrintStatuses(out, list, nil)
	if !strings.Contains(coloured.String(), "\x1b[31mblocked\x1b[0m") || !strings.Contains(coloured.String(), "\x1b[32menforced\x1b[0m") {
		t.Errorf("no colours: %q", coloured.String())
	}
	if bare := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(coloured.String(), ""); bare != plain.String() {
		t.Errorf("without its colours the table is\n%s\nand not\n%s", bare, plain.String())
	}
	if s := term.NewWriter(&plain); s.Colours || s.Terminal || s.Columns != term.MaxColumns {
		t.Errorf("a buffer is taken for a terminal: %+v", s)
	}
}

// Off a terminal only what changed is printed, with the drops per second.
func TestWatchPrintsChanges(t *testing.T) {
	var b bytes.Buffer
	w := NewWatcher(term.NewWriter(&b), false)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w.now = func() time.Time { return now }
	show := func(list ...Status) string {
		t.Helper()
		b.Reset()
		if err := w.Show(list, nil); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * time.Second)
		return b.String()
	}
	one := Status{Bridge: "br0", Port: "tap1", State: "enforced", Drops: map[string]uint64{"ip": 10}}
	two := Status{Bridge: "br0", Port: "tap2", State: "enforced", Drops: map[string]uint64{}}
	if out := show(one, two); !strings.HasPrefix(out, "2026-01-02T03:04:05Z\nBRIDGE  PORT") || !strings.Contains(out, "tap1") || !strings.Contains(out, "tap2") {
		t.Errorf("first look:\n%s", out)
	}
	if out := show(one, two); out != "" {
		t.Errorf("nothing changed:\n%s", out)
	}
	one.Drops = map[string]uint64{"ip": 13}
	if out := show(one, two); !regexp.MustCompile(`tap1 .* 1\.5 +ip 13`).MatchString(out) || strings.Contains(out, "tap2") {
		t.Errorf("3 drops in 2 s:\n%s", out)
	}
	one.Drops = map[string]uint64{"ip": 1}
	if out := show(one, two); !regexp.MustCompile(`tap1 .* - +ip 1 `).MatchString(out) {
		t.Errorf("counters that began anew:\n%s", out)
	}
	if out := show(one); !regexp.MustCompile(`tap2 +gone`).MatchString(out) {
		t.Errorf("a port that is gone:\n%s", out)
	}
}
