// Package report answers what an answer looks like, as text and as JSON. The fields of the
// JSON are stable; docs/json.md describes them.
package report
