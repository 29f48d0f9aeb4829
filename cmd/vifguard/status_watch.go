package main

import (
	"context"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
)

// minInterval is the shortest interval of status --watch. Open vSwitch
// itself collects the counters of its datapath twice a second.
const minInterval = 500 * time.Millisecond

// watch prints status until ctx ends, which is no error.
func (s *session) watch(ctx context.Context, w *report.Watcher, interval time.Duration, args []string) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		list, notes, err := s.statusWithin(ctx, args)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = w.Show(list, notes)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Done():
			return exit.Errorf(exit.NoSwitch, "the connection to ovsdb-server was lost")
		case <-tick.C:
		}
	}
}

// statusWithin is status with the time limit of a command of its own.
func (s *session) statusWithin(ctx context.Context, args []string) (list []report.Status, notes []string, err error) {
	limited, cancel := s.within(ctx)
	defer cancel()
	list, notes, found, err := limited.status(args)
	return list, append(notes, found...), err
}
