package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vifguard/vifguard/controller/events"
)

// DefaultStateDir is where packages keep what survives a restart.
const DefaultStateDir = "/var/lib/vifguard"

const (
	saveInterval  = 30 * time.Second
	maxClaimsFile = 64 << 20 // bytes; all limits of package events together stay below
	claimsFile    = "claims.json"
	claimsVersion = 1
)

// claimStore keeps claims in a file, so that hours of observation survive a restart of
// the agent.
type claimStore struct{ path string }

// storedClaims is the file.
type storedClaims struct {
	Version int `json:"version"`
	events.Report
}

// load returns what was saved; nothing when there is no file.
func (s *claimStore) load() (events.Report, error) {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return events.Report{}, nil
	}
	if err == nil && info.Size() > maxClaimsFile {
		err = fmt.Errorf("%s has %d bytes (want at most %d)", s.path, info.Size(), maxClaimsFile)
	}
	if err != nil {
		return events.Report{}, err
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return events.Report{}, err
	}
	var stored storedClaims
	if err := json.Unmarshal(b, &stored); err != nil {
		return events.Report{}, fmt.Errorf("%s: %w", s.path, err)
	}
	if stored.Version != claimsVersion {
		return events.Report{}, fmt.Errorf("%s: version %d (want %d)", s.path, stored.Version, claimsVersion)
	}
	return stored.Report, nil
}

// save replaces the file as a whole: a crash leaves the old one or the new one.
func (s *claimStore) save(r events.Report) (err error) {
	b, err := json.Marshal(storedClaims{claimsVersion, r})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), claimsFile+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	return err
}

// restore takes over the claims of the agent before. A file that can't be read is set
// aside for whoever wants to know why.
func (d *drops) restore(dir string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.log.WithError(err).Warn("claims won't survive a restart: no state directory")
		return
	}
	d.store = &claimStore{path: filepath.Join(dir, claimsFile)}
	report, err := d.store.load()
	if err != nil {
		aside := d.store.path + ".corrupt"
		d.log.WithError(err).WithField("moved_to", aside).Error("the claims that were kept can't be read; starting afresh")
		if err := os.Rename(d.store.path, aside); err != nil {
			d.log.WithError(err).Error("they can't be moved either, so nothing is kept")
			d.store = nil
		}
		return
	}
	d.claims.Restore(report)
}

// save keeps the claims from time to time, and when done is closed.
func (d *drops) save(done <-chan struct{}) {
	if d.store == nil {
		return
	}
	tick := time.NewTicker(saveInterval)
	defer tick.Stop()
	failing := false
	for {
		last := false
		select {
		case <-tick.C:
		case <-done:
			last = true
		}
		err := d.saveNow()
		if err != nil && !failing {
			d.log.WithError(err).Warn("can't keep the claims, which therefore won't survive a restart; trying again")
		}
		failing = err != nil
		if last {
			return
		}
	}
}

func (d *drops) saveNow() error {
	d.mu.Lock()
	changed, report := d.changed, events.Report{}
	if changed {
		report = d.claims.Report()
	}
	d.changed = false
	d.mu.Unlock()
	if !changed {
		return nil
	}
	err := d.store.save(report)
	if err != nil {
		d.mu.Lock()
		d.changed = true
		d.mu.Unlock()
	}
	return err
}
