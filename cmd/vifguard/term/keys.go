package term

import "unicode/utf8"

// Keys that aren't characters.
const (
	KeyUp        = "up"
	KeyDown      = "down"
	KeyPageUp    = "pgup"
	KeyPageDown  = "pgdn"
	KeyHome      = "home"
	KeyEnd       = "end"
	KeyEnter     = "enter"
	KeyEscape    = "esc"
	KeyBackspace = "backspace"
	KeyInterrupt = "ctrl-c"
)

// sequences are what terminals send for keys, behind the escape (xterm's ctlseqs).
func sequences() map[string]string {
	return map[string]string{
		"[A": KeyUp, "OA": KeyUp, "[B": KeyDown, "OB": KeyDown, "[5~": KeyPageUp, "[6~": KeyPageDown,
		"[H": KeyHome, "OH": KeyHome, "[1~": KeyHome, "[F": KeyEnd, "OF": KeyEnd, "[4~": KeyEnd,
	}
}

// parseKeys reads keys, and returns the beginning of one that isn't complete.
// Sequences of other keys are left out.
func parseKeys(in []byte) (keys []string, rest []byte) {
	for len(in) > 0 {
		switch c := in[0]; {
		case c == 0x1b:
			n := sequenceLength(in[1:])
			if n < 0 {
				return keys, in
			}
			if n == 0 {
				keys = append(keys, KeyEscape)
			} else if k, ok := sequences()[string(in[1:1+n])]; ok {
				keys = append(keys, k)
			}
			in = in[1+n:]
			continue
		case c == '\r' || c == '\n':
			keys = append(keys, KeyEnter)
		case c == 0x7f || c == '\b':
			keys = append(keys, KeyBackspace)
		case c == 0x03:
			keys = append(keys, KeyInterrupt)
		case c >= ' ':
			if !utf8.FullRune(in) {
				return keys, in
			}
			r, n := utf8.DecodeRune(in)
			keys = append(keys, string(r))
			in = in[n:]
			continue
		}
		in = in[1:]
	}
	return keys, nil
}

// sequenceLength is the length of what follows an escape: 0 if it was a key of its own,
// -1 if the end is still to come.
func sequenceLength(in []byte) int {
	switch {
	case len(in) == 0:
		return -1
	case in[0] == 'O':
		if len(in) < 2 {
			return -1
		}
		return 2
	case in[0] != '[':
		return 0
	}
	for i, c := range in[1:] {
		if c >= 0x40 && c <= 0x7e { // the final byte (ECMA-48 section 5.4)
			return i + 2
		}
	}
	return -1
}
