package drops

import (
	"io"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

func silent() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

// Followers that don't listen are cut off, the others miss nothing, and what is told
// again is limited.
func TestFollowers(t *testing.T) {
	d := NewJournal(silent())
	_, deaf, stopDeaf, err := d.Follow()
	if err != nil {
		t.Fatal(err)
	}
	defer stopDeaf()
	_, good, stop, err := d.Follow()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const n = maxRecent + followBuffer
	for i := range n {
		d.Add(&Event{Time: time.Unix(int64(i), 0), VIF: VIF{Port: "p"}, Reason: "mac"})
		if e, ok := <-good; !ok || e.Time.Unix() != int64(i) {
			t.Fatalf("event %d: %v", i, e)
		}
	}
	heard := 0
	for range deaf {
		heard++
	}
	if heard != followBuffer {
		t.Errorf("the deaf one hears %d, want %d", heard, followBuffer)
	}
	if r := d.Recent(); len(r) != maxRecent || r[maxRecent-1].Time.Unix() != n-1 {
		t.Errorf("%d are told again", len(r))
	}
	var stops []func()
	for err == nil {
		var stop func()
		if _, _, stop, err = d.Follow(); err == nil {
			stops = append(stops, stop)
		}
	}
	if len(stops) != maxFollowers-1 {
		t.Errorf("%d more followers", len(stops))
	}
	for _, stop := range stops {
		stop()
	}
}
