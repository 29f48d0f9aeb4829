// Package control is the agent's control socket: HTTP over a unix socket, for the
// vifguard command and for whoever has read access on the host.
//
//	GET /drops            recent drop events, one JSON object a line (drops.Event)
//	GET /drops?follow=1   the same, and then every further one as it comes
//	GET /drops?port=tap1  only those of one port
//	GET /claims           what each VIF has claimed (drops.Report)
//	GET /debug/pprof/     profiles of the agent, for "go tool pprof" (net/http/pprof)
//
// A reader that doesn't keep up is cut off: nothing in the agent waits for one.
package control
