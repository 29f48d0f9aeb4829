package bridge

import (
	"math"
	"time"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// floodMeter finds VIFs that exceed their limits by what the switch has counted.
type floodMeter struct {
	at      time.Time               // of the last measurement
	total   uint64                  // refused on the bridge until then
	since   uint64                  // refused on the bridge when counted was read
	counted map[flows.VIFID]uint64  // refused of each VIF; nil until it is read
	excess  map[flows.VIFID]float64 // frames above the limit, less what the time since has made up for
}

// measure returns the VIFs that flood, with their rates, given how many frames the bridge
// has refused so far in total. Only if these are enough for the smallest limit it reads
// the counters of the VIFs. A VIF floods when it is more than floodBurst seconds' worth
// above its limit.
func (m *floodMeter) measure(now time.Time, total uint64, limits map[flows.VIFID]model.Flood, read func() (map[flows.VIFID]uint64, error)) (map[flows.VIFID]float64, error) {
	if m.counted == nil {
		counted, err := read()
		*m = floodMeter{at: now, total: total, since: total, counted: counted}
		return nil, err
	}
	elapsed, before := now.Sub(m.at).Seconds(), m.total
	m.at, m.total = now, total
	if float64(total-before) <= float64(smallest(limits))*elapsed {
		m.excess = nil
		return nil, nil
	}
	counted, err := read()
	if err != nil {
		return nil, err
	}
	// Of the frames between the last reading and the last measurement nobody knows whose they
	// were. As they may have been the VIF's, they don't speak against it.
	unknown := before - m.since
	flooding, excess := make(map[flows.VIFID]float64), make(map[flows.VIFID]float64)
	for id, limit := range limits {
		was := m.counted[id]
		if counted[id] < was {
			was = 0 // its flows are new
		}
		refused := float64(counted[id] - was - min(counted[id]-was, unknown))
		over := max(0, m.excess[id]+refused-float64(limit)*elapsed)
		if over > floodBurst*float64(limit) {
			flooding[id] = refused / elapsed
		} else {
			excess[id] = over
		}
	}
	m.since, m.counted, m.excess = total, counted, excess
	return flooding, nil
}

func smallest(limits map[flows.VIFID]model.Flood) model.Flood {
	least := model.Flood(math.MaxUint32)
	for _, l := range limits {
		least = min(least, l)
	}
	return least
}
