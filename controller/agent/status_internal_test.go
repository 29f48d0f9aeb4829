package agent

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/model"
)

// After any change of the interfaces and of what is confirmed, exactly those are compared
// again whose row or outcome isn't the same value as before.
func TestStale(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rows := make(map[int]*model.Interface)
	confirmed := make(map[*model.Interface]*bridge.VIF)
	var before *written
	was := make(map[string]*bridge.VIF) // by UUID, of before
	wasRow := make(map[string]*model.Interface)
	for round := range 300 {
		for range random.IntN(4) {
			n := random.IntN(12)
			switch random.IntN(4) {
			case 0:
				delete(rows, n)
			case 1:
				if r := rows[n]; r != nil {
					confirmed[r] = &bridge.VIF{Row: r}
				}
			default:
				rows[n] = &model.Interface{Name: fmt.Sprintf("p%02d", n), UUID: fmt.Sprint(n % 3)}
			}
		}
		b := &model.Bridge{}
		r := &bridge.Report{Target: &bridge.Target{Bridge: &model.Bridge{}}, VIFs: []*bridge.VIF{}}
		for _, n := range slices.Sorted(maps.Keys(rows)) {
			b.Interfaces = append(b.Interfaces, rows[n])
			if v := confirmed[rows[n]]; v != nil {
				r.VIFs = append(r.VIFs, v)
				r.Target.Bridge.Interfaces = append(r.Target.Bridge.Interfaces, rows[n])
			}
		}
		is := &written{bridge: b, outcomes: r.Outcomes(b), report: before.reportOr(r)}
		var want []int
		now, nowRow := make(map[string]*bridge.VIF), make(map[string]*model.Interface)
		for i, row := range b.Interfaces {
			if is.outcomes[i] != confirmed[row] {
				t.Fatalf("round %d: outcome of %s is another's", round, row.Name)
			}
			now[row.Name], nowRow[row.Name] = is.outcomes[i], row
			if wasRow[row.Name] != row || was[row.Name] != is.outcomes[i] {
				want = append(want, i)
			}
		}
		if diff := cmp.Diff(want, is.stale(before)); diff != "" {
			t.Fatalf("round %d (-want +got):\n%s", round, diff)
		}
		before, was, wasRow = is, now, nowRow
	}
	if other := (&written{bridge: before.bridge, outcomes: before.outcomes, report: before.report, problems: "new"}); len(other.stale(before)) != len(before.bridge.Interfaces) {
		t.Error("a new problem of the bridge doesn't make every interface stale")
	}
}

// reportOr returns the report before, so that a pending interface isn't stale by itself.
func (t *written) reportOr(r *bridge.Report) *bridge.Report {
	if t == nil {
		return r
	}
	return t.report
}
