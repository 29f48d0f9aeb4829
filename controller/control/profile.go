package control

import (
	"net/http"
	"net/http/pprof"
)

// profiles answers what "go tool pprof" asks for. The socket is for root and its group
// only, so nobody else learns anything, or makes the agent work.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
