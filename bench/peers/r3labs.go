package peers

import (
	"net/http"
	"net/url"
	"runtime"

	"github.com/r3labs/sse/v2"
)

// r3labs is the server of r3labs/sse v2, with streams made when someone subscribes
// (AutoStream) and a goroutine, two channels and a flush an event for each reader.
//
// Its replay is off, which makes it faster: it keeps all events for ever and sends
// a reader that comes back the last event that it has once more; and every new
// reader gets the whole log. Without it events have empty ids. A reader that is
// 64 events behind holds up its channel, and once 1,024 more wait there, the
// publishers.
func r3labs() Peer {
	return Peer{
		Name:   "r3labs",
		Shared: true,
		Lacks:  []string{Resume, Access, SlowReaders},
		Note:   "A slow reader holds up its channel. What it keeps for readers that reconnect has no limit and is not what they missed, so it is off.",
		Version: func(Options) string {
			return "r3labs/sse " + module("github.com/r3labs/sse/v2") + ", " + runtime.Version()
		},
		Command: self("r3labs"),
		Subscribe: func(channel, _, _ string) []byte {
			return get("/events?stream="+url.QueryEscape(channel), "")
		},
		Publish: publishPath,
	}
}

func r3labsHandler() http.Handler {
	server := sse.New()
	server.AutoStream = true
	server.AutoReplay = false
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", server.ServeHTTP)
	mux.HandleFunc("POST /pub/{channel}", func(w http.ResponseWriter, r *http.Request) {
		if message, ok := payload(w, r); ok {
			server.Publish(r.PathValue("channel"), &sse.Event{Data: message})
			w.WriteHeader(http.StatusCreated)
		}
	})
	return mux
}
