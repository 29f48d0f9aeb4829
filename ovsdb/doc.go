// Package ovsdb is vifguard's only edge to ovsdb-server. It keeps a replica of the
// few columns that vifguard reads, turns it into immutable [model.Host] values, and
// writes single external_ids keys back.
//
// A [Client] is one connection, one generation: it never reconnects, because a
// replica that survives a reconnect can't tell which rows vanished meanwhile. A
// [Source] makes generation after generation and hands the last view on, so that a
// row which didn't change keeps its pointer across restarts of ovsdb-server.
//
// Everything is level-triggered: a receive from Changed says "look again" and
// nothing more, and Host is always the answer a full recomputation would give.
package ovsdb
