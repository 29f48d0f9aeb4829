package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

// ErrLost is returned when the connection to ovsdb-server ended.
var ErrLost = errors.New("the connection to ovsdb-server was lost")

// Source is where the screen's contents come from. Its methods are called one at a time.
type Source interface {
	// Status reads the VIFs, and what is to be known beside.
	Status(ctx context.Context) (list []report.Status, notes []string, err error)
	// Explain returns what "vifguard explain" says of a port, or why it can't.
	Explain(ctx context.Context, port string) string
	// Done is closed when there is nothing to read from any more.
	Done() <-chan struct{}
}

// Config says what to show.
type Config struct {
	Title    string        // what is shown, "" for the host
	Interval time.Duration // between two readings
	Control  string        // path of the agent's control socket
}

// reading is what was read at one time.
type reading struct {
	list        []report.Status
	notes       []string
	at          time.Time
	port        string // the port that is explained, "" for none
	explanation string
	err         error
}

func read(ctx context.Context, s Source, port string) *reading {
	r := &reading{port: port}
	r.list, r.notes, r.err = s.Status(ctx)
	r.at = time.Now()
	if port != "" {
		r.explanation = s.Explain(ctx, port)
	}
	return r
}

// Run shows the screen until somebody leaves it. The terminal is given back however it
// ends.
func Run(ctx context.Context, s Source, c Config) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGHUP, unix.SIGQUIT)
	defer stop()
	screen, err := term.TakeOver(os.Stdin, os.Stdout)
	if err != nil {
		return fmt.Errorf("use the terminal: %w", err)
	}
	defer screen.Close()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)

	v := &viewer{Config: c, source: s, claims: newClaims(c.Control), readings: make(chan *reading, 1), top: top{title: "reading..."}}
	v.claims.follow(ctx)
	v.read(ctx)
	keys := screen.Keys()
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		if err := v.draw(screen); err != nil {
			return err
		}
		wanted := false
		select {
		case <-ctx.Done():
			return nil
		case <-s.Done():
			return ErrLost
		case <-resized:
		case k, ok := <-keys:
			do := doQuit
			if ok {
				v.top, do = v.key(k)
			}
			if do == doQuit {
				return nil
			}
			wanted = do == doExplain
		case <-tick.C:
			wanted = !v.paused
			v.claims.follow(ctx)
		case r := <-v.readings:
			if r.err != nil {
				return r.err
			}
			v.take(r)
		}
		v.again = v.again || wanted
		if v.again && !v.busy {
			v.read(ctx)
		}
	}
}

// viewer is the screen and what it is made of.
type viewer struct {
	top
	Config
	source   Source
	claims   *claims
	readings chan *reading // capacity 1
	busy     bool          // something is being read
	again    bool          // something is to be read once that is done
	before   *reading      // what the rates are counted from
}

// read begins to read what is shown.
func (v *viewer) read(ctx context.Context) {
	port := ""
	if v.view == viewExplain {
		port = v.selected
	}
	v.busy, v.again = true, false
	go func() { v.readings <- read(ctx, v.source, port) }()
}

func (v *viewer) draw(screen *term.Terminal) error {
	columns, lines, err := screen.Size()
	if err != nil {
		return err
	}
	return screen.Draw(v.render(columns, lines))
}

// minInterval is the shortest time after which a rate is more than noise. Open vSwitch itself
// collects the counters of its datapath twice a second.
const minInterval = 500 * time.Millisecond

// take shows a reading. One that only a key asked for may be too near to the one before for
// rates: then the list stays.
func (v *viewer) take(r *reading) {
	v.busy = false
	if r.port != "" && v.view == viewExplain && r.port == v.selected {
		v.text = r.explanation
	}
	if v.before != nil && r.at.Sub(v.before.at) < minInterval {
		return
	}
	var rates map[string]float64
	if v.before != nil {
		before := make(map[string]report.Status, len(v.before.list))
		for _, s := range v.before.list {
			before[s.Port] = s
		}
		rates = report.Rates(before, r.list, r.at.Sub(v.before.at))
	}
	v.before = r
	last, problem := v.claims.last()
	v.rows = nil
	for _, s := range r.list {
		rate, known := rates[s.Port]
		v.rows = append(v.rows, row{Status: s, rate: rate, known: known, claim: last[s.Port]})
	}
	v.notes = r.notes
	if problem != "" {
		v.notes = append(v.notes, "no claims: "+problem)
	}
	v.title = r.at.Format(time.TimeOnly)
	if v.Title != "" {
		v.title = v.Title + " " + v.title
	}
}
