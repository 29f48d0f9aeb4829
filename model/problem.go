package model

import (
	"fmt"
	"strings"
)

// Problem is one piece of metadata that can't be used. It names the key, the
// offending value and what would be valid.
type Problem struct {
	Key    string // the key that holds the value
	Value  string // the offending part of the value; may be empty
	Reason string // continues "KEY: VALUE ", says what is wrong and what would be valid
}

// Limits on what a problem shows of a hostile value, in bytes.
const (
	maxShownValue  = 64
	maxShownErrors = 1000
)

func (p Problem) Error() string {
	key := p.Key
	// The name of a profile is part of its key, and anything can be a name.
	if quoted := fmt.Sprintf("%q", shorten(key)); quoted != `"`+key+`"` {
		key = quoted
	}
	if p.Value == "" {
		return key + " " + p.Reason
	}
	return fmt.Sprintf("%s: %q %s", key, shorten(p.Value), p.Reason)
}

// shorten cuts off what is too much of a hostile value.
func shorten(s string) string {
	if len(s) > maxShownValue {
		return s[:maxShownValue] + "..."
	}
	return s
}

// Problems is a list of problems in the order in which they were found.
type Problems []Problem

func (ps *Problems) add(key, value, format string, args ...any) {
	*ps = append(*ps, Problem{Key: key, Value: value, Reason: fmt.Sprintf(format, args...)})
}

// String joins the problems to one line, cut off after a kilobyte so that hostile
// metadata can't fill the database.
func (ps Problems) String() string {
	var b strings.Builder
	for n, p := range ps {
		if n > 0 {
			b.WriteString("; ")
		}
		if b.Len() > maxShownErrors {
			fmt.Fprintf(&b, "and %d more", len(ps)-n)
			break
		}
		b.WriteString(p.Error())
	}
	return b.String()
}
