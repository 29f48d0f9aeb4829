package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
)

func newTop(o *options) *cobra.Command {
	var socket string
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "top [BRIDGE]",
		Short: "Watch which VIFs are dropping, most first",
		Long: `Show the VIFs of all guarded bridges, or of one, on a screen that renews itself: drops
per second, their total and main reason by the switch's counters, and the last claim that
the agent sampled. Enter explains a VIF; ? lists the keys.

It needs a terminal; for scripts and logs there is vifguard status --watch.`,
		Example: `  vifguard top
  vifguard top br0 --interval 5s`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if interval < minInterval {
				return usageError(cmd, "--interval: %s is too short (want at least %s)", interval, minInterval)
			}
			if !term.IsTerminal(os.Stdin) || !term.IsTerminal(cmd.OutOrStdout()) {
				return usageError(cmd, "top needs a terminal for input and output (use vifguard status --watch)")
			}
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			if len(args) == 1 {
				if _, err := findBridge(s.Host(), args[0]); err != nil {
					return err
				}
			}
			return runTop(cmd.Context(), s, args, interval, socket)
		},
	}
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "time between two looks")
	cmd.Flags().StringVar(&socket, "control", control.DefaultPath, "the agent's control socket")
	return cmd
}

// topLook is what is seen at one time.
type topLook struct {
	list    []vifStatus
	notes   []string
	at      time.Time
	of      string // port that is explained, "" for none
	explain string
	err     error
}

// runTop shows the screen until somebody leaves it. The terminal is given back however
// it ends.
func runTop(ctx context.Context, s *session, args []string, interval time.Duration, socket string) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGHUP, unix.SIGQUIT)
	defer stop()
	screen, err := term.TakeOver(os.Stdin, os.Stdout)
	if err != nil {
		return fail(exitNo, "use the terminal: %w", err)
	}
	defer screen.Close()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)

	h := &topHost{session: s, args: args, socket: socket, claims: make(map[string]string)}
	h.hear(ctx)
	looks := make(chan *topLook, 1)
	look := func(port string) { go func() { looks <- h.look(ctx, port) }() }
	look("")
	looking, again := true, false
	t := top{title: "looking..."}
	var before *topLook
	keys := screen.Keys()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := t.drawOn(screen); err != nil {
			return err
		}
		wanted := false
		select {
		case <-ctx.Done():
			return nil
		case <-s.Done():
			return fail(exitNoSwitch, "the connection to ovsdb-server was lost")
		case <-resized:
		case k, ok := <-keys:
			do := doQuit
			if ok {
				t, do = t.key(k)
			}
			if do == doQuit {
				return nil
			}
			wanted = do == doExplain
		case <-tick.C:
			wanted = !t.paused
			h.hear(ctx)
		case l := <-looks:
			if l.err != nil {
				return l.err
			}
			looking = false
			if l.of != "" && t.view == viewExplain && l.of == t.selected {
				t.text = l.explain
			}
			// A look that only a key asked for is too near to tell a rate.
			if before == nil || l.at.Sub(before.at) >= minInterval {
				t.see(l, before, h)
				before = l
			}
		}
		again = again || wanted
		if again && !looking {
			port := ""
			if t.view == viewExplain {
				port = t.selected
			}
			look(port)
			looking, again = true, false
		}
	}
}

func (t *top) drawOn(screen *term.Terminal) error {
	columns, lines, err := screen.Size()
	if err != nil {
		return err
	}
	return screen.Draw(t.render(columns, lines))
}

// see takes over a look.
func (t *top) see(l, before *topLook, h *topHost) {
	var rates map[string]float64
	if before != nil {
		then := make(map[string]vifStatus, len(before.list))
		for _, s := range before.list {
			then[s.Port] = s
		}
		rates = dropRates(then, l.list, l.at.Sub(before.at))
	}
	claims, note := h.heard()
	t.rows = nil
	for _, s := range l.list {
		rate, known := rates[s.Port]
		t.rows = append(t.rows, topRow{vifStatus: s, rate: rate, known: known, claim: claims[s.Port]})
	}
	t.notes = l.notes
	if note != "" {
		t.notes = append(t.notes, "no claims: "+note)
	}
	t.title = l.at.Format(time.TimeOnly)
	if len(h.args) > 0 {
		t.title = h.args[0] + " " + t.title
	}
}

// topHost is where looks come from.
type topHost struct {
	*session
	args   []string
	socket string

	mu      sync.Mutex
	claims  map[string]string // the last one, by port
	hearing bool
	silent  string // why no claims are heard
}

// look reads all that is shown.
func (h *topHost) look(ctx context.Context, port string) *topLook {
	s := *h.session
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	l := &topLook{of: port}
	l.list, l.notes, l.err = s.status(h.args)
	l.at = time.Now()
	if port != "" {
		var b bytes.Buffer
		if err := s.explainPort(&b, port); err != nil {
			b.WriteString(err.Error())
		}
		l.explain = b.String()
	}
	return l
}

// explainPort writes what vifguard explain does.
func (s *session) explainPort(b *bytes.Buffer, port string) error {
	bridge, row, err := findPort(s.Host(), port)
	if err != nil {
		return err
	}
	in := s.inspect(bridge, row)
	explain(term.NewWriter(b), &in, in.Port(row), false)
	return nil
}

// hear follows the agent's events, unless it does already.
func (h *topHost) hear(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hearing {
		return
	}
	h.hearing = true
	go func() {
		err := control.Drops(ctx, h.socket, "", true, func(e *drops.Event) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if e.Frame != "" {
				h.claims[e.Port] = e.Frame
			}
			return nil
		})
		h.mu.Lock()
		defer h.mu.Unlock()
		h.hearing = false
		if err != nil {
			h.silent = err.Error()
		}
	}()
}

// heard returns the claims, and why there are no new ones.
func (h *topHost) heard() (claims map[string]string, silent string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hearing {
		return maps.Clone(h.claims), ""
	}
	return maps.Clone(h.claims), h.silent
}
