package main

import (
	"testing"
	"time"
)

// A command that waits for as long as it may asks the switch some dozens of times.
func TestPausesGrow(t *testing.T) {
	var p pauses
	questions, before := 0, time.Duration(0)
	for waited := time.Duration(0); waited < commandTimeout; questions++ {
		next := p.next()
		if next < before || next > longestPause {
			t.Fatalf("a pause of %s after one of %s", next, before)
		}
		waited, before = waited+next, next
	}
	if questions < 10 || questions > 40 {
		t.Errorf("%d questions within %s", questions, commandTimeout)
	}
}
