package term

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Terminal is a terminal that reports each key as it is pressed, and shows a screen that
// vanishes when it is closed.
type Terminal struct {
	in, out *os.File
	before  *unix.Termios
}

// TakeOver takes a terminal over until Close. It fails when either file is none.
func TakeOver(in, out *os.File) (*Terminal, error) {
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	t := &Terminal{in: in, out: out, before: before}
	if _, _, err := t.Size(); err != nil {
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
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close gives the terminal back as it was.
func (t *Terminal) Close() {
	_, _ = t.out.WriteString("\x1b[?7h\x1b[?25h\x1b[?1049l")
	_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, t.before)
}

// Size is the number of columns and lines; 80 by 24 where the terminal doesn't say.
func (t *Terminal) Size() (columns, lines int, err error) {
	size, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, err
	}
	if size.Col == 0 || size.Row == 0 {
		return 80, 24, nil
	}
	return int(size.Col), int(size.Row), nil
}

// Line is a line of a screen, in one style.
type Line struct {
	Style Style
	Text  string
}

// Draw replaces what is shown, in one piece and without flicker. Lines are set off by
// Inverse on every terminal, and by colours where these are shown.
func (t *Terminal) Draw(lines []Line) error {
	w := NewWriter(t.out)
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = Printable(l.Text)
		if l.Style == Inverse {
			texts[i] = Inverse.on(texts[i])
		} else {
			texts[i] = w.styled(l.Style, texts[i])
		}
	}
	_, err := t.out.WriteString("\x1b[H" + strings.Join(texts, "\x1b[K\r\n") + "\x1b[K\x1b[J")
	return err
}

// Keys returns the keys as they are pressed: characters, or one of the Key constants. It is
// closed when there are no more. Its reader ends with the process: nothing can interrupt it.
func (t *Terminal) Keys() <-chan string {
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
				list, rest = append(list, KeyEscape), nil
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
func (t *Terminal) more() bool {
	const ms = 50
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(t.in.Fd()), Events: unix.POLLIN}}, ms)
	return err == nil && n > 0
}
