package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/vifguard/vifguard/controller/drops"
)

// writeTime is how long a reader may take to read what it is sent.
const writeTime = 5 * time.Second

// Source is what the socket serves. Its methods may be called from several
// goroutines.
type Source interface {
	// Recent returns the last events, the oldest first.
	Recent() []drops.Event
	// Follow returns them, and a channel with all that come after. The channel is closed
	// when its reader is too slow. stop must be called once. It fails when there are too
	// many followers.
	Follow() (recent []drops.Event, live <-chan drops.Event, stop func(), err error)
	// Report returns what each VIF has claimed.
	Report() drops.Report
}

// Handler answers the requests about drops, and those for profiles of the agent.
func Handler(s Source) *http.ServeMux {
	mux := http.NewServeMux()
	profiles(mux)
	mux.HandleFunc("GET /drops", func(w http.ResponseWriter, r *http.Request) { serveDrops(s, w, r) })
	mux.HandleFunc("GET /claims", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
		_ = encoder(w).Encode(s.Report()) // the reader's connection, the reader's problem
	})
	return mux
}

func serveDrops(s Source, w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	port, follow := query.Get("port"), query.Get("follow")
	if follow != "" && follow != "0" && follow != "1" {
		http.Error(w, fmt.Sprintf("follow: %q (want 0 or 1)", follow), http.StatusBadRequest)
		return
	}
	out := stream{json: encoder(w), control: http.NewResponseController(w), port: port}
	if follow != "1" {
		w.Header().Set("Content-Type", ndjson)
		_ = out.write(s.Recent()...)
		return
	}
	recent, live, stop, err := s.Follow()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer stop()
	w.Header().Set("Content-Type", ndjson)
	if out.write(recent...) != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-live:
			if !ok || out.write(e) != nil {
				return
			}
		}
	}
}

// encoder writes JSON that people read too: without escapes for HTML.
func encoder(w http.ResponseWriter) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

const ndjson = "application/x-ndjson"

// stream writes events of one port, or of all.
type stream struct {
	json    *json.Encoder
	control *http.ResponseController
	port    string
}

// write sends events at once. An error says that the reader is gone or too slow.
func (s *stream) write(list ...drops.Event) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	for i := range list {
		if s.port != "" && list[i].Port != s.port {
			continue
		}
		if err := s.json.Encode(&list[i]); err != nil {
			return err
		}
	}
	return s.control.Flush()
}
