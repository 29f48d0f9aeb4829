package agent

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/controller/metrics"
)

// Metrics serves what Prometheus asks for.
func (a *Agent) Metrics() http.Handler { return a.metrics.Handler() }

// state is called at each scrape, by any goroutine.
func (a *Agent) state() metrics.State {
	s := metrics.State{Connected: a.source.Connected()}
	for _, w := range *a.published.Load() {
		if b, ok := w.Metrics(); ok {
			s.Bridges = append(s.Bridges, b)
		}
	}
	return s
}

// publishWorkers shows the workers to other goroutines.
func (a *Agent) publishWorkers() {
	list := make([]*bridge.Worker, 0, len(a.workers))
	for _, r := range a.workers {
		list = append(list, r.Worker)
	}
	slices.SortFunc(list, func(a, b *bridge.Worker) int { return strings.Compare(a.Bridge(), b.Bridge()) })
	a.published.Store(&list)
}
