package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
)

// Switch is an OpenFlow session with a bridge's switch: what a worker needs of
// [openflow.Conn], where each method is described.
type Switch interface {
	Close()
	Done() <-chan struct{}
	Err() error

	Commit(ctx context.Context, changes []flows.Change) error
	Release(ctx context.Context) (int, error)
	Flows(ctx context.Context, cookie, mask uint64) ([]openflow.Flow, error)
	TableFlows(ctx context.Context, table uint8, cookie, mask uint64) ([]openflow.Flow, error)
	OwnFlows(ctx context.Context) ([]openflow.Flow, error)
	Matched(ctx context.Context, table uint8) (packets uint64, err error)

	FragmentMode(ctx context.Context) (mode uint16, err error)
	SetFragmentMode(ctx context.Context, mode uint16) error

	Watch(ctx context.Context, tables []uint8, concerns func(openflow.FlowUpdate) bool) error
	Disturbed() <-chan struct{}

	Subscribe(ctx context.Context) (<-chan openflow.PacketIn, error)
	MeterLimit(ctx context.Context) (limit uint32, err error)
	Meters(ctx context.Context) ([]openflow.Meter, error)
	AddMeters(ctx context.Context, meters []openflow.Meter) error
	ModifyMeters(ctx context.Context, meters []openflow.Meter) error
	DeleteMeters(ctx context.Context, meters []openflow.Meter) error
}

func dialSwitch(ctx context.Context, socket string) (Switch, error) {
	conn, err := openflow.Dial(ctx, socket)
	if err != nil {
		return nil, err // not a Switch that holds a nil pointer
	}
	return conn, nil
}

// session is all that holds for one OpenFlow session only. It is thrown away as a whole.
type session struct {
	Switch
	pipeline flows.Pipeline // whose tables the switch was asked to watch
	watches  bool           // the switch tells of changes by others
	compared bool           // its flows were compared with the ledger
	checked  time.Time      // when the fragment mode was last read
	sampling *sampling
	refused  refusedCounter
}

// connect makes sure that there is a session for the target's tables. A session watches
// once, so other tables need another one.
func (w *Worker) connect(ctx context.Context, t *Target) error {
	if w.session != nil && w.session.pipeline != t.pipeline() {
		w.hangUp()
	}
	if w.session != nil {
		return nil
	}
	conn, err := w.Dial(ctx, w.Socket)
	if err != nil {
		return err
	}
	w.session = &session{Switch: conn, pipeline: t.pipeline(), sampling: &sampling{sampler: &w.sampler, conn: conn}}
	w.Probe.Forget()
	w.observe(func(o *observation) { o.connected = true })
	w.log.Debug("OpenFlow session open")
	if !t.Config.Guarded {
		return nil
	}
	if err := w.watch(ctx); err != nil {
		return err
	}
	return w.session.sampling.begin(ctx)
}

// watch has the switch tell of changes that others make to what matters here.
func (w *Worker) watch(ctx context.Context) error {
	p := w.session.pipeline
	err := w.session.Watch(ctx, p.Tables(), func(u openflow.FlowUpdate) bool {
		_, _, own := flows.SplitCookie(u.Cookie)
		return own || (!u.Deleted && p.Shadows(flows.Key{Table: u.Table, Priority: u.Priority}))
	})
	w.session.watches = err == nil
	var refusal *openflow.SwitchError
	if errors.As(err, &refusal) {
		w.log.WithError(err).Info("the switch doesn't tell of changes by others; relying on comparisons alone")
		return nil
	}
	return err
}

// hangUp ends the session, if there is one.
func (w *Worker) hangUp() {
	if w.session != nil {
		w.session.Close()
		w.session.sampling.end()
		w.session = nil
	}
	w.enter(lost)
	w.observe(func(o *observation) { o.connected = false })
}

// checkFragmentMode makes the switch show fragments to the stages: in its default mode
// every field of layer 4 is zero in every fragment, and the guards are blind. It is the one
// thing that the switch never tells of; asking costs little.
func (w *Worker) checkFragmentMode(ctx context.Context) error {
	s := w.session
	if w.phase.known() && time.Since(s.checked) < w.CheckInterval {
		return nil
	}
	mode, err := s.FragmentMode(ctx)
	if err == nil && mode != openflow.FragNXMatch {
		w.log.WithField("was", mode).Info("setting the fragment mode to nx-match")
		err = s.SetFragmentMode(ctx, openflow.FragNXMatch)
	}
	if err == nil {
		s.checked = time.Now()
	}
	return err
}
