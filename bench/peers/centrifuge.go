package peers

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"runtime"

	"github.com/centrifugal/centrifuge"
)

// centrifugeSSE is the centrifugal/centrifuge library with its handler for
// Server-Sent Events and its broker in memory. The connect command, in the query,
// names the channel, and the server subscribes the connection to it. An event is a
// push of its client protocol, which holds the message; there are no SSE ids, so
// recovery is its own clients' part and it does not resume here. Its write to a
// reader takes up to 16 messages that wait, with one flush.
//
// Publishers do not wait for readers: each reader has a queue, and one whose queue
// is over 1 MiB gets no more and is disconnected. Pongs are not asked for, since the readers here
// only read.
func centrifugeSSE() Peer {
	return Peer{
		Name:   "centrifuge",
		Shared: true,
		Lacks:  []string{Resume},
		Note:   "A reader over 1 MiB behind is disconnected. It can check who reads; here everybody may. Its own clients can resume, over connections other than SSE.",
		Loses:  "A reader over 1 MiB behind is disconnected.",
		Version: func(Options) string {
			return "centrifugal/centrifuge " + module("github.com/centrifugal/centrifuge") + ", " + runtime.Version()
		},
		Command:   self("centrifuge"),
		Subscribe: centrifugeSubscribe,
		Publish:   publishPath,
	}
}

func centrifugeSubscribe(channel, _, _ string) []byte {
	name, _ := json.Marshal(channel) // a string can always be encoded
	command := `{"id":1,"connect":{"subs":{` + string(name) + `:{}}}}`
	return get("/connection/sse?cf_connect="+url.QueryEscape(command), "")
}

func centrifugeHandler() (http.Handler, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		subscriptions := map[string]centrifuge.SubscribeOptions{}
		for _, channel := range e.Channels {
			subscriptions[channel] = centrifuge.SubscribeOptions{}
		}
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{}, // of an anonymous user
			Subscriptions: subscriptions,
		}, nil
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /connection/sse", centrifuge.NewSSEHandler(node, centrifuge.SSEConfig{
		PingPongConfig: centrifuge.PingPongConfig{PongTimeout: -1},
	}))
	mux.HandleFunc("POST /pub/{channel}", func(w http.ResponseWriter, r *http.Request) {
		body, ok := payload(w, r)
		if !ok {
			return
		}
		if _, err := node.Publish(r.PathValue("channel"), body); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	return mux, nil
}
