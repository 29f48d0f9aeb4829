package drops

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What was kept is there again, and nothing of an agent that crashed while it saved.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	unfinished := filepath.Join(dir, claimsFile+".1234567")
	aside := filepath.Join(dir, claimsFile+".corrupt")
	for _, f := range []string{unfinished, aside} {
		if err := os.WriteFile(f, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := NewJournal(silent())
	stop := first.Keep(dir)
	first.Claimed(time.Unix(1, 0), &Sample{VIF: VIF{Port: "tap1"}, Reason: "arp"})
	stop()

	second := NewJournal(silent())
	second.Keep(dir)()
	if r := second.Report(); len(r.VIFs) != 1 || r.VIFs[0].Port != "tap1" {
		t.Errorf("kept: %+v", r)
	}
	if _, err := os.Stat(unfinished); !os.IsNotExist(err) {
		t.Errorf("%s is still there", unfinished)
	}
	if _, err := os.Stat(aside); err != nil {
		t.Error("what was set aside is gone:", err)
	}
}
