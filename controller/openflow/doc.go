// Package openflow is vifguard's edge to ovs-vswitchd: one OpenFlow 1.3 session over
// a bridge's management socket, with the Nicira extensions that the pipeline needs.
//
// libOpenflow encodes matches, instructions and messages. Its stream and its parsers
// are not used: they lose the order of messages and panic on bytes that a switch, or
// a guest's packet inside a packet-in, may contain. The connection and everything
// that is read are in this package, with every length checked.
package openflow
