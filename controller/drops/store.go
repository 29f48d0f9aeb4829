package drops

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// DefaultStateDir is where packages keep what survives a restart.
const DefaultStateDir = "/var/lib/vifguard"

const (
	saveInterval  = 30 * time.Second
	maxClaimsFile = 64 << 20 // bytes; all limits of this package together stay below
	claimsFile    = "claims.json"
	claimsVersion = 1
)

// store is a file of claims, so that hours of observation survive a restart of the agent.
type store struct{ path string }

// storedClaims is the contents of the file.
type storedClaims struct {
	Version int `json:"version"`
	Report
}

// Keep takes over the claims that an earlier agent left in dir, and saves the journal's
// there from time to time until the returned function is called, which saves them a last
// time. Nothing that fails is needed to guard a host, so it is only logged.
func (j *Journal) Keep(dir string) (stop func()) {
	s := j.restore(dir)
	if s == nil {
		return func() {}
	}
	done, saved := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(saved)
		j.save(s, done)
	}()
	return func() {
		close(done)
		<-saved
	}
}

// restore returns the store in dir after taking over its claims; nil when there can't be
// one. A file that can't be read is set aside for whoever wants to know why.
func (j *Journal) restore(dir string) *store {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		j.log.WithError(err).Warn("claims won't survive a restart: no state directory")
		return nil
	}
	s := &store{path: filepath.Join(dir, claimsFile)}
	s.sweep()
	report, err := s.load()
	if err == nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.claims.Restore(report)
		return s
	}
	aside := s.path + ".corrupt"
	j.log.WithError(err).WithField("moved_to", aside).Error("the claims that were kept can't be read; starting afresh")
	if err := os.Rename(s.path, aside); err != nil {
		j.log.WithError(err).Error("they can't be moved either, so nothing is kept")
		return nil
	}
	return s
}

// save writes the claims every saveInterval, and when done is closed.
func (j *Journal) save(s *store, done <-chan struct{}) {
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
		err := j.saveNow(s)
		if err != nil && !failing {
			j.log.WithError(err).Warn("can't keep the claims, which therefore won't survive a restart; trying again")
		}
		failing = err != nil
		if last {
			return
		}
	}
}

func (j *Journal) saveNow(s *store) error {
	j.mu.Lock()
	changed, report := j.changed, Report{}
	if changed {
		report = j.claims.Report()
	}
	j.changed = false
	j.mu.Unlock()
	if !changed {
		return nil
	}
	err := s.save(report)
	if err != nil {
		j.mu.Lock()
		j.changed = true
		j.mu.Unlock()
	}
	return err
}

// sweep removes the unfinished files of agents that crashed while they wrote one.
func (s *store) sweep() {
	left, _ := filepath.Glob(s.path + ".[0-9]*") // the pattern is well-formed
	for _, f := range left {
		os.Remove(f)
	}
}

// load returns what was saved; nothing when there is no file.
func (s *store) load() (Report, error) {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, nil
	}
	if err == nil && info.Size() > maxClaimsFile {
		err = fmt.Errorf("%s has %d bytes (want at most %d)", s.path, info.Size(), maxClaimsFile)
	}
	if err != nil {
		return Report{}, err
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return Report{}, err
	}
	var stored storedClaims
	if err := json.Unmarshal(b, &stored); err != nil {
		return Report{}, fmt.Errorf("%s: %w", s.path, err)
	}
	if stored.Version != claimsVersion {
		return Report{}, fmt.Errorf("%s: version %d (want %d)", s.path, stored.Version, claimsVersion)
	}
	return stored.Report, nil
}

// save replaces the file as a whole: a crash leaves the old one or the new one.
func (s *store) save(r Report) (err error) {
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
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.path))
	}
	return err
}

// syncDir makes a renaming in a directory survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
