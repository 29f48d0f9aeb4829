// Package term answers how something is shown: in columns, wrapped, in colours, on a screen
// that renews itself, or as JSON, and never in a way that lets what others wrote move the
// cursor, change the terminal or look like a line of vifguard's own.
package term
