// Package exposure judges whether anything in a switch decides about a guest's frames
// beside vifguard's tables: in-band control, fail-open, flows of others, protocols that
// Open vSwitch speaks before any table, and more. Its one function, [Judge], is pure: it
// takes what was read and returns findings, each with what a guest can do and the command
// that ends it.
//
// What can't be read is never taken to be fine: it is a finding, too.
package exposure
