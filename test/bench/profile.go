package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// profile writes a CPU profile of the agent into the directory for profiles, which
// begins now. The returned function waits for its end. Without such a directory it does
// nothing.
func (h *host) profile(ctx context.Context, name string, d time.Duration) (wait func() error) {
	if h.profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- h.fetchProfile(ctx, name, d) }()
	return func() error {
		if err := <-done; err != nil {
			return fmt.Errorf("profile %s: %w", name, err)
		}
		return nil
	}
}

func (h *host) fetchProfile(ctx context.Context, name string, d time.Duration) (err error) {
	socket := filepath.Join(h.sw.Dir, agentSocket)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	var answer *http.Response
	err = lab.WaitUntil(ctx, "the agent answers", func() (bool, error) {
		answer, err = client.Get(fmt.Sprintf("http://agent/debug/pprof/profile?seconds=%d", max(1, int(d.Seconds()))))
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	if err := os.MkdirAll(h.profiles, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(h.profiles, name+".pprof"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer.Body)
	return errors.Join(err, f.Close())
}
