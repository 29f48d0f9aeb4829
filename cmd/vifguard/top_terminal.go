package main

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// terminal is a terminal that tells each key as it is pressed, and shows a screen that
// vanishes when it is closed.
type terminal struct {
	in, out *os.File
	before  *unix.Termios
}

// takeTerminal takes a terminal over until close. It fails when either file is none.
func takeTerminal(in, out *os.File) (*terminal, error) {
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	t := &terminal{in: in, out: out, before: before}
	if _, _, err := t.size(); err != nil {
		return nil, err
	}
	// As cfmakeraw of termios(3), but output is still processed.
	raw := *before
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, &raw); err != nil {
		return nil, err
	}
	// The alternate screen of xterm, without a cursor and without breaking lines.
	_, err = out.WriteString("\x1b[?1049h\x1b[?25l\x1b[?7l")
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// close gives the terminal back as it was.
func (t *terminal) close() {
	_, _ = t.out.WriteString("\x1b[?7h\x1b[?25h\x1b[?1049l")
	_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, t.before)
}

// size is the number of columns and lines; 80 by 24 where nobody said.
func (t *terminal) size() (columns, lines int, err error) {
	size, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, err
	}
	if size.Col == 0 || size.Row == 0 {
		return 80, 24, nil
	}
	return int(size.Col), int(size.Row), nil
}

// draw replaces what is shown, in one piece and without flicker.
func (t *terminal) draw(lines []string) error {
	text := "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
	_, err := t.out.WriteString(text)
	return err
}

// keys tells the keys, and is closed when there are no more. Its reader ends with the
// process: nothing can interrupt it.
func (t *terminal) keys() <-chan string {
	keys := make(chan string)
	go func() {
		defer close(keys)
		var rest []byte
		buffer := make([]byte, 256)
		for {
			n, err := t.in.Read(buffer)
			if err != nil || n == 0 {
				return
			}
			var list []string
			list, rest = parseKeys(append(rest, buffer[:n]...))
			if len(rest) > 0 && !t.more() {
				list, rest = append(list, keyEscape), nil
			}
			for _, k := range list {
				keys <- k
			}
		}
	}()
	return keys
}

// more reports whether more input follows at once: what the rest of a key's sequence
// does, and a pressed Esc doesn't.
func (t *terminal) more() bool {
	const ms = 50
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(t.in.Fd()), Events: unix.POLLIN}}, ms)
	return err == nil && n > 0
}

// sequences are what terminals send for keys, behind the escape (xterm's ctlseqs).
func sequences() map[string]string {
	return map[string]string{
		"[A": keyUp, "OA": keyUp, "[B": keyDown, "OB": keyDown, "[5~": keyPageUp, "[6~": keyPageDown,
		"[H": keyHome, "OH": keyHome, "[1~": keyHome, "[F": keyEnd, "OF": keyEnd, "[4~": keyEnd,
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
				keys = append(keys, keyEscape)
			} else if k, ok := sequences()[string(in[1:1+n])]; ok {
				keys = append(keys, k)
			}
			in = in[1+n:]
			continue
		case c == '\r' || c == '\n':
			keys = append(keys, keyEnter)
		case c == 0x7f || c == '\b':
			keys = append(keys, keyBackspace)
		case c == 0x03:
			keys = append(keys, keyInterrupt)
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
