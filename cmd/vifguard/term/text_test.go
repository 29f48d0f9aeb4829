package term

import "testing"

func TestWrap(t *testing.T) {
	got := Wrap("one two three four", 9, "  ")
	if want := "one two\n  three\n  four"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
