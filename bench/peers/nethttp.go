package peers

import (
	"fmt"
	"net/http"
	"sync"
)

// waiting is how many messages wait for a reader of nethttp before its publishers
// do.
const waiting = 256

// netHTTP is the handler that people write themselves: a map of Go channels, and a
// flush after each event. It drops nothing: a slow reader whose channel is full
// holds up its publishers and, while these hold the lock, whoever subscribes. It
// has no ids and keeps nothing for readers that come back.
func netHTTP() Peer {
	return Peer{
		Name:      "nethttp",
		Shared:    true,
		Lacks:     []string{Resume, Access, SlowReaders},
		Note:      "A slow reader holds up those who publish to its channel.",
		Version:   goVersion,
		Command:   self("nethttp"),
		Subscribe: subscribePath,
		Publish:   publishPath,
	}
}

// hub holds who is subscribed to what.
type hub struct {
	mu      sync.RWMutex
	readers map[string]map[*subscriber]struct{}
}

// subscriber is one stream: what it is to be sent, and when it is gone.
type subscriber struct {
	messages chan []byte
	gone     <-chan struct{}
}

func netHTTPHandler() http.Handler {
	h := &hub{readers: map[string]map[*subscriber]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sub/{channel}", h.subscribe)
	mux.HandleFunc("POST /pub/{channel}", h.publish)
	return mux
}

func (h *hub) subscribe(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "streaming is not supported", http.StatusInternalServerError)
		return
	}
	s := &subscriber{messages: make(chan []byte, waiting), gone: r.Context().Done()}
	channel := r.PathValue("channel")
	h.add(channel, s)
	defer h.remove(channel, s)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	flusher.Flush()
	for {
		select {
		case message := <-s.messages:
			if _, err := fmt.Fprintf(w, "data: %s\n\n", message); err != nil {
				return
			}
			flusher.Flush()
		case <-s.gone:
			return
		}
	}
}

func (h *hub) publish(w http.ResponseWriter, r *http.Request) {
	message, ok := payload(w, r)
	if !ok {
		return
	}
	h.mu.RLock()
	for s := range h.readers[r.PathValue("channel")] {
		select {
		case s.messages <- message:
		case <-s.gone:
		}
	}
	h.mu.RUnlock()
	w.WriteHeader(http.StatusCreated)
}

func (h *hub) add(channel string, s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers[channel] == nil {
		h.readers[channel] = map[*subscriber]struct{}{}
	}
	h.readers[channel][s] = struct{}{}
}

func (h *hub) remove(channel string, s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers[channel], s)
	if len(h.readers[channel]) == 0 {
		delete(h.readers, channel)
	}
}
