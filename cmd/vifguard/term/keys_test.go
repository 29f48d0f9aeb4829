package term

import (
	"strings"
	"testing"
)

func TestParseKeys(t *testing.T) {
	for _, tc := range []struct{ in, keys, rest string }{
		{"jk", "j k", ""},
		{"\x1b[A\x1bOB\x1b[5~", "up down pgup", ""},
		{"\x1b", "", "\x1b"},
		{"\x1b[", "", "\x1b["},
		{"\x1bx", "esc x", ""},
		{"\x1b[1;5Cq", "q", ""},
		{"\r\x7f\x03\x01", "enter backspace ctrl-c", ""},
		{"é\xc3", "é", "\xc3"},
		{"\xff", "\ufffd", ""},
	} {
		keys, rest := parseKeys([]byte(tc.in))
		if strings.Join(keys, " ") != tc.keys || string(rest) != tc.rest {
			t.Errorf("%q: %q, rest %q; want %+v", tc.in, keys, rest, tc)
		}
	}
}
