// Package inspect says what is true now of a bridge, agent or not: which rules OVSDB
// asks for, which of them the switch has, what they have counted, what differs, and what
// the switch would do with a frame. It changes nothing.
package inspect
