package lab

import (
	"bytes"
	"strings"
	"sync"
)

// Log collects what a program or a logger writes, and may be read meanwhile. The zero
// value is ready for use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends, and never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Reset forgets what was written.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// String returns what was written since the last Reset.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Count says how often a text was written since the last Reset.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }

// Tail returns the last lines of what was written since the last Reset.
func (l *Log) Tail(lines int) string { return lastLines(l.String(), lines) }

func lastLines(text string, n int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
