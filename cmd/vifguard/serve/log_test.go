package serve

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/test/lab"
)

func TestJournalLines(t *testing.T) {
	var out bytes.Buffer
	log, err := newLog(&out, "debug", "journal")
	if err != nil {
		t.Fatal(err)
	}
	log.WithField("port", "tap1").WithField("bridge", "br0").WithField("checks", "mac,arp").Info("VIF programmed")
	log.WithField("error", `"oops" is no address`).Warn("VIF has metadata that can't be used")
	log.WithField("empty", "").Error("an error")
	log.Debug("detail")
	// Values come out of OVSDB, so whoever writes there may try to forge a line.
	log.WithField("vm", "a\n<0>forged").Info("one\n<0>line")
	want := `<6>VIF programmed bridge=br0 checks=mac,arp port=tap1
<4>VIF has metadata that can't be used error="\"oops\" is no address"
<3>an error empty=""
<7>detail
<6>one <0>line vm="a\n<0>forged"
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]func(string) bool{
		"text": func(s string) bool {
			return strings.Contains(s, "msg=hello") && strings.Contains(s, "time=") && !strings.Contains(s, "\x1b")
		},
		"json":    isJSON,
		"auto":    isJSON, // neither a terminal nor the journal
		"journal": func(s string) bool { return s == "<6>hello\n" },
	} {
		var out bytes.Buffer
		log, err := newLog(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("hello")
		if !want(out.String()) {
			t.Errorf("--log-format %s: %q", format, out.String())
		}
	}
	for _, bad := range [][2]string{{"info", "xml"}, {"loud", "text"}} {
		if _, err := newLog(&bytes.Buffer{}, bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("level %s, format %s: error %v", bad[0], bad[1], err)
		}
	}
}

// Log lines are read by people as well.
func TestJSONLinesWithoutHTML(t *testing.T) {
	var out bytes.Buffer
	log, err := newLog(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("a > b & c")
	if !strings.Contains(out.String(), `"msg":"a > b & c"`) {
		t.Errorf("got %s", out.String())
	}
}

func isJSON(s string) bool {
	var line struct{ Level, Msg, Time string }
	return json.Unmarshal([]byte(s), &line) == nil && line.Level == "info" && line.Msg == "hello" && line.Time != ""
}

func TestTextWithColoursOnATerminal(t *testing.T) {
	master, number := lab.NewTerminal(t)
	for _, c := range []struct {
		noColour string
		colours  bool
	}{{"", true}, {"1", false}} {
		t.Setenv("NO_COLOR", c.noColour)
		tty, err := lab.OpenTerminal(number)
		if err != nil {
			t.Fatal(err)
		}
		log, err := newLog(tty, "info", "auto")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("hello")
		b := make([]byte, 4096)
		n, err := master.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[:n]); !strings.Contains(got, "hello") || strings.Contains(got, "\x1b[") != c.colours {
			t.Errorf("NO_COLOR=%q: %q", c.noColour, got)
		}
		tty.Close()
	}
}
