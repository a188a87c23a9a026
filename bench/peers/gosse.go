package peers

import (
	"net/http"
	"runtime"

	"github.com/tmaxmax/go-sse"
)

// replayed is how many messages the go-sse peer keeps, of all channels together.
const replayed = 10_000

// goSSE is the server of tmaxmax/go-sse with Joe, its own provider, and a
// FiniteReplayer that gives the messages their ids. Joe is one goroutine for all
// channels: for each message he asks every reader of the server whether it wants
// it, writes and flushes. So a reader whose socket is full holds up everyone, and
// a channel costs what all channels' readers cost.
func goSSE() Peer {
	return Peer{
		Name:   "go-sse",
		Resume: true,
		Shared: true,
		Lacks:  []string{Access, SlowReaders},
		Note:   "A slow reader holds up all others, of all channels.",
		Version: func(Options) string {
			return "tmaxmax/go-sse " + module("github.com/tmaxmax/go-sse") + ", " + runtime.Version()
		},
		Command:   self("go-sse"),
		Subscribe: subscribePath,
		Publish:   publishPath,
	}
}

// greeter has the head of an answer sent as soon as its reader is subscribed; by
// itself the library waits for the first message.
type greeter struct{ sse.Replayer }

// Replay sends what the reader has missed, and the head in any case.
func (g greeter) Replay(s sse.Subscription) error {
	if err := g.Replayer.Replay(s); err != nil {
		return err
	}
	return s.Client.Flush()
}

func goSSEHandler() (http.Handler, error) {
	replayer, err := sse.NewFiniteReplayer(replayed, true)
	if err != nil {
		return nil, err
	}
	server := &sse.Server{
		Provider: &sse.Joe{Replayer: greeter{replayer}},
		OnSession: func(_ http.ResponseWriter, r *http.Request) ([]string, bool) {
			return []string{r.PathValue("channel")}, true
		},
	}
	mux := http.NewServeMux()
	mux.Handle("GET /sub/{channel}", server)
	mux.HandleFunc("POST /pub/{channel}", func(w http.ResponseWriter, r *http.Request) {
		body, ok := payload(w, r)
		if !ok {
			return
		}
		message := &sse.Message{}
		message.AppendData(string(body))
		if err := server.Publish(message, r.PathValue("channel")); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	return mux, nil
}
