package lab

import (
	"fmt"
	"strings"
	"time"
)

// Tally is what became of the frames of a [Traffic].
type Tally struct {
	Streams []Count
	// Overflow is the number of frames, of any sender, that the sockets of the
	// switch's ports had no room for: the switch never saw them. It is 0 when
	// ovs-vswitchd was started anew meanwhile.
	Overflow int
}

// Count is what became of the frames of a [Stream].
type Count struct {
	Stream
	Sent, Received int // different frames
	// Wrong holds when each frame was sent that had the wrong fate: those of a
	// spoofed stream that arrived, those of any other that didn't.
	Wrong []time.Time
}

// Window is frames with a common fate, and when the first and the last of them
// were sent.
type Window struct {
	Frames      int
	First, Last time.Time
}

// Lost returns the legitimate frames that didn't arrive.
func (t *Tally) Lost() Window { return t.window(false) }

// Leaked returns the spoofed frames that arrived.
func (t *Tally) Leaked() Window { return t.window(true) }

// Sent returns the number of legitimate and of spoofed frames.
func (t *Tally) Sent() (legitimate, spoofed int) {
	for _, c := range t.Streams {
		if c.Spoofed {
			spoofed += c.Sent
		} else {
			legitimate += c.Sent
		}
	}
	return legitimate, spoofed
}

func (t *Tally) window(spoofed bool) Window {
	var w Window
	for _, c := range t.Streams {
		if c.Spoofed == spoofed {
			for _, at := range c.Wrong {
				w.add(at)
			}
		}
	}
	return w
}

func (w *Window) add(at time.Time) {
	if w.Frames == 0 || at.Before(w.First) {
		w.First = at
	}
	if w.Frames == 0 || at.After(w.Last) {
		w.Last = at
	}
	w.Frames++
}

// String returns one line for each kind of frame of each sender, with the moment of
// the first and the last frame that had the wrong fate.
func (t *Tally) String() string {
	var b strings.Builder
	for _, c := range t.Streams {
		what := "legitimate"
		if c.Spoofed {
			what = "spoofed"
		}
		fmt.Fprintf(&b, "%-8s %-12s %-10s sent %6d, received %6d", c.From.Port, c.Kind, what, c.Sent, c.Received)
		if n := len(c.Wrong); n > 0 {
			fmt.Fprintf(&b, ", wrong %d from %s to %s", n, c.Wrong[0].Format(clock), c.Wrong[n-1].Format(clock))
		}
		b.WriteByte('\n')
	}
	if t.Overflow > 0 {
		fmt.Fprintf(&b, "%d frames found no room in the switch's sockets\n", t.Overflow)
	}
	return b.String()
}

// clock shows when something happened as the switch's log does.
const clock = "15:04:05.000"
