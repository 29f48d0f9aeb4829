// Package frame reads one Ethernet frame that a guest sent, and says in words
// what the frame claims and what is malformed about it.
//
// The bytes are hostile: nothing in them is believed, every length is checked
// against what is there, and every step takes bytes away from what is left, so
// that [Parse] ends for any input. What was read is what a receiver could believe.
// That is more than Open vSwitch does where a frame is malformed: the switch shows
// zeros then, a person wants to see the claim and [Frame.Problems] beside it.
//
// Like package model, this is a function of values, without sockets, clocks, files
// or logs.
package frame
