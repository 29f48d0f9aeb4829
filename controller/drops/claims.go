package drops

import (
	"cmp"
	"slices"
	"time"

	"github.com/vifguard/vifguard/model/frame"
)

// Limits of what is remembered.
const (
	maxClaims = 64   // of one VIF
	maxVIFs   = 1024 // that had anything dropped
)

// Claims remembers what each VIF has claimed that was dropped, or would have been. It
// is not safe for concurrent use.
type Claims struct {
	since time.Time
	vifs  map[string]*vifClaims // by identity
}

// NewClaims returns what is known at the beginning: nothing.
func NewClaims(now time.Time) *Claims {
	return &Claims{since: now.UTC(), vifs: make(map[string]*vifClaims)}
}

type vifClaims struct {
	vif    VIF
	last   time.Time
	counts map[string]uint64 // packets by reason
	claims map[claimKey]*ClaimCount
	others uint64 // samples of claims that made room for others
}

type claimKey struct {
	reason string
	claim  frame.Claim
}

// Report is everything that is known, in a stable order: by bridge, port and row; the
// claims of a VIF by reason, and the most frequent first.
type Report struct {
	Since time.Time   `json:"since"` // since when claims are counted
	VIFs  []VIFReport `json:"vifs"`
}

// VIFReport is what is known of one VIF.
type VIFReport struct {
	VIF
	Last   time.Time         `json:"last"`             // when anything was dropped last
	Drops  map[string]uint64 `json:"drops"`            // packets by reason, by the switch's counters
	Claims []ClaimCount      `json:"claims"`           // at most 64
	Others uint64            `json:"others,omitempty"` // samples with further claims, which were too many
}

// ClaimCount is one claim of a VIF, and how often it was sampled.
type ClaimCount struct {
	Reason  string      `json:"reason"`
	Passed  bool        `json:"passed"` // the last one would have been dropped, but for the action observe
	Claim   frame.Claim `json:"claim"`
	Frame   string      `json:"frame"` // the last one, in words
	Samples uint64      `json:"samples"`
	First   time.Time   `json:"first"`
	Last    time.Time   `json:"last"`
}

// identity distinguishes VIFs: by their row, as names are reused.
func (v *VIF) identity() string { return cmp.Or(v.UUID, v.Bridge+"\x00"+v.Port) }

// Add remembers a sample.
func (c *Claims) Add(now time.Time, s *Sample) {
	now = now.UTC()
	v := c.of(now, s.VIF)
	key := claimKey{s.Reason, s.Claim}
	seen := v.claims[key]
	if seen == nil {
		v.makeRoom()
		seen = &ClaimCount{Reason: s.Reason, Claim: s.Claim, First: now}
		v.claims[key] = seen
	}
	seen.Passed, seen.Frame, seen.Last = s.Passed, s.Frame, now
	seen.Samples++
}

// Count adds the packets of an event to their reason.
func (c *Claims) Count(e *Event) {
	n := uint64(1)
	if e.More != nil {
		n = e.More.Packets
	}
	c.of(e.Time.UTC(), e.VIF).counts[e.Reason] += n
}

// of returns a VIF's memory, under its newest name.
func (c *Claims) of(now time.Time, vif VIF) *vifClaims {
	v := c.vifs[vif.identity()]
	if v == nil {
		if len(c.vifs) >= maxVIFs {
			c.forgetOldest()
		}
		v = &vifClaims{counts: make(map[string]uint64), claims: make(map[claimKey]*ClaimCount)}
		c.vifs[vif.identity()] = v
	}
	v.vif, v.last = vif, now
	return v
}

func (c *Claims) forgetOldest() {
	var oldest *vifClaims
	for _, v := range c.vifs {
		if oldest == nil || v.last.Before(oldest.last) {
			oldest = v
		}
	}
	delete(c.vifs, oldest.vif.identity())
}

// makeRoom forgets the claim that was seen least often, and of those the one that
// wasn't seen for longest: a guest that makes up a new claim with every frame must not
// displace what it claims all the time.
func (v *vifClaims) makeRoom() {
	if len(v.claims) < maxClaims {
		return
	}
	var least *ClaimCount
	for _, s := range v.claims {
		if least == nil || s.Samples < least.Samples || s.Samples == least.Samples && s.Last.Before(least.Last) {
			least = s
		}
	}
	v.others += least.Samples
	delete(v.claims, claimKey{least.Reason, least.Claim})
}

// Report returns a copy of what is known.
func (c *Claims) Report() Report {
	r := Report{Since: c.since, VIFs: []VIFReport{}}
	for _, v := range c.vifs {
		r.VIFs = append(r.VIFs, v.report())
	}
	slices.SortFunc(r.VIFs, func(a, b VIFReport) int {
		return cmp.Or(cmp.Compare(a.Bridge, b.Bridge), cmp.Compare(a.Port, b.Port), cmp.Compare(a.UUID, b.UUID))
	})
	return r
}

func (v *vifClaims) report() VIFReport {
	r := VIFReport{VIF: v.vif, Last: v.last, Drops: make(map[string]uint64), Claims: []ClaimCount{}, Others: v.others}
	for reason, n := range v.counts {
		r.Drops[reason] = n
	}
	for _, s := range v.claims {
		r.Claims = append(r.Claims, *s)
	}
	slices.SortFunc(r.Claims, func(a, b ClaimCount) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(b.Samples, a.Samples), a.First.Compare(b.First), cmp.Compare(a.Frame, b.Frame))
	})
	return r
}

// Restore takes over what another agent has reported, within the same limits. What c
// knows already stays.
func (c *Claims) Restore(r Report) {
	if !r.Since.IsZero() && r.Since.Before(c.since) {
		c.since = r.Since
	}
	for _, old := range r.VIFs {
		if len(c.vifs) >= maxVIFs || c.vifs[old.identity()] != nil {
			continue
		}
		v := c.of(old.Last, old.VIF)
		v.others = old.Others
		for reason, n := range old.Drops {
			if len(v.counts) < maxClaims {
				v.counts[reason] = n
			}
		}
		for _, s := range old.Claims {
			if len(v.claims) < maxClaims {
				v.claims[claimKey{s.Reason, s.Claim}] = &s
			}
		}
	}
}
