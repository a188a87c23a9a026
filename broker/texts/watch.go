package texts

import (
	"bytes"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Watch watches over the texts that somebody reads on this node, so that they end although
// the node of their publisher has ended. The zero value is ready for use. All methods are
// safe for concurrent use.
type Watch struct {
	mu   sync.Mutex
	open map[engine.TextName]time.Time // guarded by mu; when to look at it next
}

// Saw notes a message that is in the log of its channel now.
func (w *Watch) Saw(m *schemas.Message) {
	begins := m.Kind == schemas.KindStreamStart && bytes.HasPrefix(m.Data, []byte(`{"attempt":`))
	if !begins && m.Kind != schemas.KindStreamEnd {
		return
	}
	name := engine.TextName{Channel: m.Channel, Topic: m.Topic, StreamID: m.StreamID}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !begins:
		delete(w.open, name)
	case w.open == nil:
		w.open = map[engine.TextName]time.Time{name: {}}
	default:
		w.open[name] = time.Time{}
	}
}

// Quiet returns the open texts of which nothing has come for the given time. newest
// returns when something came last, 0 if nobody reads the text any more: then it is
// forgotten.
func (w *Watch) Quiet(now time.Time, after time.Duration, newest func(engine.TextName) time.Time) (names []engine.TextName) {
	for _, name := range w.due(now) {
		at := newest(name)
		quiet := now.Sub(at) > after
		if quiet && !at.IsZero() {
			names = append(names, name)
			at = now // the next look
		}
		w.mu.Lock()
		if _, open := w.open[name]; !open || at.IsZero() {
			delete(w.open, name)
		} else {
			w.open[name] = at.Add(after)
		}
		w.mu.Unlock()
	}
	return names
}

func (w *Watch) due(now time.Time) (names []engine.TextName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, next := range w.open {
		if now.After(next) {
			names = append(names, name)
		}
	}
	return names
}
