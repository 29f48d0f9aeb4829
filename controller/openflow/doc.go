// Package openflow is vifguard's edge to ovs-vswitchd: one OpenFlow 1.3 session over
// a bridge's management socket, with the Nicira extensions that the pipeline needs.
//
// libOpenflow names the protocol's numbers and encodes control messages; flows, of which
// a host has hundreds of thousands, are encoded here, and a test holds every kind of
// rule against what the library makes of it. Its stream and its parsers are not used:
// they lose the order of messages and panic on bytes that a switch, or a guest's packet
// inside a packet-in, may contain. The connection and everything that is read are in
// this package, with every length checked.
package openflow
