package exit

import (
	"slices"
	"strings"
)

// Nearest returns the candidate that a name was most likely meant to be: one that
// differs in case only, that starts or is started by it, or that few edits lead to. It
// is "" when none is near.
func Nearest(name string, candidates []string) string {
	name = strings.ToLower(name)
	best, least := "", max(1, len(name)/3)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		d := distance(name, strings.ToLower(c))
		if len(name) >= 3 && (strings.HasPrefix(strings.ToLower(c), name) || len(c) >= 3 && strings.HasPrefix(name, strings.ToLower(c))) {
			d = min(d, 1)
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of characters to insert, delete or replace, or of neighbours
// to swap, that leads from a to b.
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// DidYouMean continues a sentence with the nearest candidate, if there is one.
func DidYouMean(name string, candidates []string) string {
	if near := Nearest(name, candidates); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
