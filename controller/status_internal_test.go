package controller

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/model"
)

// After any change of the interfaces and of what is confirmed, exactly those are looked
// at again whose row or outcome isn't the same value as before.
func TestNews(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rows := make(map[int]*model.Interface)
	confirmed := make(map[*model.Interface]*vif)
	var before *told
	was := make(map[string]*vif) // by UUID, of before
	wasRow := make(map[string]*model.Interface)
	for round := range 300 {
		for range random.IntN(4) {
			n := random.IntN(12)
			switch random.IntN(4) {
			case 0:
				delete(rows, n)
			case 1:
				if r := rows[n]; r != nil {
					confirmed[r] = &vif{row: r}
				}
			default:
				rows[n] = &model.Interface{Name: fmt.Sprintf("p%02d", n), UUID: fmt.Sprint(n % 3)}
			}
		}
		b := &model.Bridge{}
		r := &report{target: &target{bridge: &model.Bridge{}}, vifs: []*vif{}}
		for _, n := range slices.Sorted(maps.Keys(rows)) {
			b.Interfaces = append(b.Interfaces, rows[n])
			if v := confirmed[rows[n]]; v != nil {
				r.vifs = append(r.vifs, v)
				r.target.bridge.Interfaces = append(r.target.bridge.Interfaces, rows[n])
			}
		}
		is := &told{bridge: b, outcomes: r.outcomes(b), report: before.reportOr(r)}
		var want []int
		now, nowRow := make(map[string]*vif), make(map[string]*model.Interface)
		for i, row := range b.Interfaces {
			if is.outcomes[i] != confirmed[row] {
				t.Fatalf("round %d: outcome of %s is another's", round, row.Name)
			}
			now[row.Name], nowRow[row.Name] = is.outcomes[i], row
			if wasRow[row.Name] != row || was[row.Name] != is.outcomes[i] {
				want = append(want, i)
			}
		}
		if diff := cmp.Diff(want, is.news(before)); diff != "" {
			t.Fatalf("round %d (-want +got):\n%s", round, diff)
		}
		before, was, wasRow = is, now, nowRow
	}
	if other := (&told{bridge: before.bridge, outcomes: before.outcomes, report: before.report, problems: "new"}); len(other.news(before)) != len(before.bridge.Interfaces) {
		t.Error("a new problem of the bridge isn't news for every interface")
	}
}

// reportOr returns the report before, so that a pending interface is no news by itself.
func (t *told) reportOr(r *report) *report {
	if t == nil {
		return r
	}
	return t.report
}
