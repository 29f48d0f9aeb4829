package model

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one piece of metadata that can't be used. It names the key, the
// offending value and what would be valid.
//
//nolint:errname // it is a finding first: what reports it says which problem a VIF has
type Problem struct {
	Key     string // the key that holds the value
	Value   string // the offending part of the value; may be empty
	Reason  string // continues "KEY: VALUE ", says what is wrong and what would be valid
	Instead string // what holds in its place, e.g. "enforce is used"; may be empty
}

// Limits on what a problem shows of a hostile value, in bytes.
const (
	maxShownValue  = 64
	maxShownErrors = 1000
)

// Text returns the reason, and what holds in place of what can't be used.
func (p Problem) Text() string {
	if p.Instead == "" {
		return p.Reason
	}
	return p.Reason + "; " + p.Instead
}

func (p Problem) Error() string {
	key := p.Key
	// The name of a profile is part of its key, and anything can be a name.
	if quoted := fmt.Sprintf("%q", shorten(key)); quoted != `"`+key+`"` {
		key = quoted
	}
	if p.Value == "" {
		return key + " " + p.Text()
	}
	return fmt.Sprintf("%s: %q %s", key, shorten(p.Value), p.Text())
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

// addInstead adds a problem for which something else holds.
func (ps *Problems) addInstead(key, value, instead, format string, args ...any) {
	*ps = append(*ps, Problem{Key: key, Value: value, Reason: fmt.Sprintf(format, args...), Instead: instead})
}

// Refused returns the problems for somebody who refuses to write what they are about, so
// that nothing holds in its place.
func (ps Problems) Refused() Problems {
	refused := slices.Clone(ps)
	for i := range refused {
		refused[i].Instead = ""
	}
	return refused
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
