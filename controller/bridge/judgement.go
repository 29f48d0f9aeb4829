package bridge

import (
	"context"
	"net/netip"
	"time"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Probe reads what is judged and neither OVSDB nor an OpenFlow session shows: see
// [probe.Reader].
type Probe interface {
	Read(ctx context.Context, h *model.Host, b *model.Bridge) exposure.Hidden
	Addresses(h *model.Host) map[string][]netip.Prefix
	Forget()
}

// judgement is what decides about frames beside the tables, as last judged, and what that
// was judged by.
type judgement struct {
	findings  []exposure.Finding
	target    *Target
	vifs      []*VIF
	compared  time.Time     // when the flows were read
	foreign   []flows.Entry // of others, as read then
	hidden    exposure.Hidden
	addresses map[string][]netip.Prefix
}

// judge judges the bridge anew if anything has changed that it is judged by. What OVSDB
// doesn't announce is read together with the flows of a comparison.
func (w *Worker) judge(ctx context.Context, t *Target) {
	j := &w.judgement
	compared, before, host := j.compared != w.last.ended, j.target, w.host.Load()
	if !compared && before == t && sameVIFs(j.vifs, w.ledger.vifs) {
		return
	}
	if compared || before == nil || !t.Bridge.Facts.Equal(&before.Bridge.Facts) || !host.Facts.Equal(before.Host.Facts) {
		j.hidden, j.addresses = w.Probe.Read(ctx, host, t.Bridge), w.Probe.Addresses(host)
	}
	j.target, j.vifs, j.compared = t, w.ledger.vifs, w.last.ended
	policies := make([]*model.Policy, len(j.vifs))
	for i, v := range j.vifs {
		policies[i] = v.Policy
	}
	findings := exposure.Judge(&exposure.Input{
		Host: host, Bridge: t.Bridge, Stages: t.pipeline(), VIFs: exposure.VIFs(t.Bridge.Interfaces, policies),
		Foreign: j.foreign, Hidden: j.hidden, Addresses: j.addresses,
	})
	if exposure.Equal(j.findings, findings) {
		return
	}
	w.logFindings(j.findings, findings)
	j.findings = findings
}

func sameVIFs(a, b []*VIF) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// logFindings writes a line for each finding that is new, and for each kind that is gone.
// What fail_mode means is said when the bridge is guarded.
func (w *Worker) logFindings(before, now []exposure.Finding) {
	known := make(map[string]bool, len(before))
	gone := make(map[exposure.Kind]bool)
	for i := range before {
		known[before[i].Words()] = true
		gone[before[i].Kind] = true
	}
	for i := range now {
		f := &now[i]
		delete(gone, f.Kind)
		if words := f.Words(); known[words] || f.Kind == exposure.FailMode {
			continue
		} else if f.Severity == exposure.Exposed {
			w.log.WithField("kind", string(f.Kind)).Warn(words)
		} else {
			w.log.WithField("kind", string(f.Kind)).Info(words)
		}
	}
	for kind := range gone {
		if kind != exposure.FailMode {
			w.log.WithField("kind", string(kind)).Info("closed: nothing of this kind is found any more")
		}
	}
}

var _ Probe = (*probe.Reader)(nil)
