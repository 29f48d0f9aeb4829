package bridge

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// sumInterval is how often it is looked for windows that are over.
const sumInterval = time.Second

// sampleReader makes events of one bridge's samples. It outlives the sessions, of
// which there is one at a time.
type sampleReader struct {
	journal *drops.Journal
	target  func() *Target // the newest; nil for none yet
	fold    *drops.Fold

	of     *Target // that the fields below are made of
	bridge string
	rows   map[flows.VIFID]*model.Interface
	ports  map[uint32]*model.Interface
}

func newSampleReader(j *drops.Journal, target func() *Target) *sampleReader {
	return &sampleReader{journal: j, target: target, fold: drops.NewFold()}
}

// run reads until the session ends. own are the flows that were there at its begin.
func (r *sampleReader) run(conn Switch, list <-chan openflow.PacketIn, own []openflow.Flow) {
	for _, f := range own {
		if _, reason, _ := flows.SplitCookie(f.Cookie); reason != model.NoReason {
			r.fold.Baseline(f.Cookie, f.Packets)
		}
	}
	tick := time.NewTicker(sumInterval)
	defer tick.Stop()
	for {
		select {
		case <-conn.Done():
			return
		case p := <-list:
			r.sample(time.Now(), &p)
		case now := <-tick.C:
			r.sum(conn, now)
		}
	}
}

// sample reads one sample. The cookie says whose it is and why it was refused.
func (r *sampleReader) sample(now time.Time, p *openflow.PacketIn) {
	_, reason, ours := flows.SplitCookie(p.Cookie)
	if !ours || reason == model.NoReason || !r.fold.Admit(now) {
		return
	}
	s := drops.NewSample(r.vif(p), reason.String(), p.Passed, p.Frame)
	if reason != model.ReasonFlood { // which says nothing of what the frame claims
		r.journal.Claimed(now, &s)
	}
	if e := r.fold.Sample(now, p.Cookie, s); e != nil {
		r.journal.Add(e)
	}
}

// sum tells what repeated itself, by the switch's counters.
func (r *sampleReader) sum(conn Switch, now time.Time) {
	due := r.fold.Due(now)
	for _, cookie := range due {
		packets, known := counter(conn, cookie)
		e := r.fold.Close(now, cookie, packets, known)
		if e != nil {
			r.journal.Add(e)
		}
		if id, _, _ := flows.SplitCookie(cookie); id != 0 && e != nil && e.More != nil {
			r.sumOthers(conn, now, cookie, id)
		}
	}
	if len(due) > 0 {
		r.index()
		r.fold.Retain(func(cookie uint64) bool {
			id, _, _ := flows.SplitCookie(cookie)
			return id == 0 || r.rows[id] != nil
		})
	}
}

// sumOthers tells what a VIF's other rules have counted while one has used up its meter.
func (r *sampleReader) sumOthers(conn Switch, now time.Time, flooded uint64, id flows.VIFID) {
	for _, reason := range model.Reasons() {
		cookie := flows.NewCookie(id, reason)
		if cookie == flooded {
			continue
		}
		if packets, known := counter(conn, cookie); known {
			if e := r.fold.Unsampled(now, flooded, cookie, reason.String(), packets); e != nil {
				r.journal.Add(e)
			}
		}
	}
}

// counter returns what a rule has counted; known is false when there is none, or the
// session has ended, as it does when the switch takes too long.
func counter(conn Switch, cookie uint64) (packets uint64, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), switchTimeout)
	defer cancel()
	list, err := conn.Flows(ctx, cookie, math.MaxUint64)
	for _, f := range list {
		packets += f.Packets
	}
	return packets, err == nil && len(list) > 0
}

// index makes the rows findable.
func (r *sampleReader) index() {
	t := r.target()
	if t == nil || t == r.of {
		return
	}
	r.of, r.bridge = t, t.Bridge.Name
	r.rows, r.ports = make(map[flows.VIFID]*model.Interface), make(map[uint32]*model.Interface)
	for _, row := range t.Bridge.Interfaces {
		r.rows[flows.ParseVIFID(row.UUID)] = row
		if row.OFPort != 0 {
			r.ports[row.OFPort] = row
		}
	}
}

// vif names whose frame it was: by the rule, or for a port without rules of its own by
// the port's number.
func (r *sampleReader) vif(p *openflow.PacketIn) drops.VIF {
	r.index()
	id, _, _ := flows.SplitCookie(p.Cookie)
	row := r.rows[id]
	if id == 0 {
		row = r.ports[p.InPort]
	}
	if row == nil {
		return drops.VIF{Bridge: r.bridge, Port: fmt.Sprintf("port %d", p.InPort)}
	}
	return drops.VIF{Bridge: r.bridge, Port: row.Name, UUID: row.UUID, VM: row.VMID(), VMName: row.ExternalIDs["vm-name"]}
}
