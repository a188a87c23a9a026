package peers

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
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

// netHTTPReplay is the same handler with ids, which keeps the last [kept] messages of each
// channel for readers that come back. It is there to be compared with where readers do.
func netHTTPReplay() Peer {
	p := netHTTP()
	p.Name, p.Command = replayName, self(replayName)
	p.Resume, p.Returns = true, true
	p.Lacks = []string{Access, SlowReaders}
	return p
}

const (
	replayName = "nethttp-replay"
	kept       = 256
)

// hub holds who is subscribed to what.
type hub struct {
	replays  bool // static after construction
	mu       sync.RWMutex
	readers  map[string]map[*subscriber]struct{}
	messages map[string]*backlog // if it replays
}

// backlog is what is kept of a channel.
type backlog struct {
	last   int // id of the last message
	events []string
}

// after returns what came after the message of an id.
func (b *backlog) after(id int) string {
	first := b.last - len(b.events) // id of the message before the first
	return strings.Join(b.events[min(max(id-first, 0), len(b.events)):], "")
}

// subscriber is one stream: what it is to be sent, and when it is gone.
type subscriber struct {
	messages chan string
	gone     <-chan struct{}
}

func netHTTPHandler(replays bool) http.Handler {
	h := &hub{replays: replays, readers: map[string]map[*subscriber]struct{}{}, messages: map[string]*backlog{}}
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
	s := &subscriber{messages: make(chan string, waiting), gone: r.Context().Done()}
	channel := r.PathValue("channel")
	missed := h.add(channel, s, r.Header.Get("Last-Event-ID"))
	defer h.remove(channel, s)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	if _, err := io.WriteString(w, missed); err != nil { //nolint:gosec // what was published, as it is
		return
	}
	flusher.Flush()
	for {
		select {
		case event := <-s.messages:
			if _, err := io.WriteString(w, event); err != nil {
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
	channel, event := r.PathValue("channel"), fmt.Sprintf("data: %s\n\n", message)
	if h.replays {
		// Readers get messages in the order of their ids, so there is one publisher at a time.
		h.mu.Lock()
		defer h.mu.Unlock()
		event = h.keep(channel, event)
	} else {
		h.mu.RLock()
		defer h.mu.RUnlock()
	}
	for s := range h.readers[channel] {
		select {
		case s.messages <- event:
		case <-s.gone:
		}
	}
	w.WriteHeader(http.StatusCreated)
}

// keep gives an event its id, and keeps it.
func (h *hub) keep(channel, event string) string {
	b := h.messages[channel]
	if b == nil {
		b = &backlog{}
		h.messages[channel] = b
	}
	b.last++
	event = fmt.Sprintf("id: %d\n%s", b.last, event)
	if b.events = append(b.events, event); len(b.events) > kept {
		b.events = b.events[1:]
	}
	return event
}

// add subscribes, and returns what the reader has missed since its last event.
func (h *hub) add(channel string, s *subscriber, lastID string) (missed string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers[channel] == nil {
		h.readers[channel] = map[*subscriber]struct{}{}
	}
	h.readers[channel][s] = struct{}{}
	id, err := strconv.Atoi(lastID)
	if b := h.messages[channel]; b != nil && err == nil {
		missed = b.after(id)
	}
	return missed
}

func (h *hub) remove(channel string, s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers[channel], s)
	if len(h.readers[channel]) == 0 {
		delete(h.readers, channel)
	}
}
