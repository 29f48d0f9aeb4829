package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/vifguard/vifguard/controller/drops"
)

// maxLine is longer than every event.
const maxLine = 64 << 10

// Drops reads the recent events of a port, or of all if port is "", and gives each to
// show. With follow it goes on until ctx ends, which is no error, or the agent does.
func Drops(ctx context.Context, path, port string, follow bool, show func(*drops.Event) error) error {
	query := url.Values{}
	if port != "" {
		query.Set("port", port)
	}
	if follow {
		query.Set("follow", "1")
	}
	body, err := get(ctx, path, "/drops?"+query.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e drops.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read an event from the agent: %w", err)
		}
		if err := show(&e); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case follow:
		return errors.New("the agent ended the stream: it has stopped, or this reader was too slow")
	}
	return lines.Err()
}

// Claims reads what each VIF has claimed.
func Claims(ctx context.Context, path string) (drops.Report, error) {
	var r drops.Report
	body, err := get(ctx, path, "/claims")
	if err != nil {
		return r, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&r); err != nil {
		return r, fmt.Errorf("read the claims from the agent: %w", err)
	}
	return r, nil
}

// CPUProfile profiles the agent for some seconds and writes what "go tool pprof" reads.
func CPUProfile(ctx context.Context, path string, seconds int, w io.Writer) error {
	body, err := get(ctx, path, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds))
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// get asks the agent. The caller closes the answer.
func get(ctx context.Context, path, request string) (io.ReadCloser, error) {
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent"+request, nil)
	if err != nil {
		return nil, err
	}
	answer, err := t.RoundTrip(r)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no agent answers at %s (is \"vifguard run\" running, with this --control?)", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("no permission to ask the agent at %s (the socket is for root and its group)", path)
	case err != nil:
		return nil, fmt.Errorf("ask the agent at %s: %w", path, err)
	}
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		answer.Body.Close()
		return nil, fmt.Errorf("the agent at %s refused %s: %s: %s", path, request, answer.Status, strings.TrimSpace(string(text)))
	}
	return answer.Body, nil
}
