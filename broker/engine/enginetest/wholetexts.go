package enginetest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// KeptMessages is how many messages the channels of [WholeTexts], [Latest] and [Merged] keep.
const KeptMessages = 8

// WholeTexts tests that a text is kept or dropped as a whole, however many pieces it has.
// Texts that grow between each other count by their newest pieces.
func WholeTexts(t *testing.T, stores ...Store) {
	t.Helper()
	w := &writer{t: t, name: "texts", stores: stores}
	w.text("long", 600)
	w.has("long")
	w.add(schemas.KindStreamStart, "slow", `{}`)
	w.add(schemas.KindChunk, "slow", `"it began \u00e9arly, "`)
	for i := range 2 * KeptMessages {
		w.text(fmt.Sprint("text ", i), 40)
		w.add(schemas.KindChunk, "slow", `"and goes on, "`)
	}
	w.noParts()
	w.has("slow", "text 9", "text 15")
	w.add(schemas.KindStreamEnd, "slow", `{}`)
	for i := range KeptMessages - 1 {
		w.text(fmt.Sprint("later ", i), 3)
	}
	w.has("slow", "later 0", "later 6")
	w.text("last", 3)
	w.noParts()
	w.has("later 0", "last")
}

// Latest tests that the latest message of each topic, and texts that go on, are kept over
// the limits.
func Latest(t *testing.T, stores ...Store) {
	t.Helper()
	w := &writer{t: t, name: "latest", stores: stores}
	w.topic = "log"
	w.add(schemas.KindStreamStart, "goes on", `{}`)
	w.add(schemas.KindChunk, "goes on", `"one, "`)
	w.topic = "status"
	w.add(schemas.KindData, "", `"busy"`)
	latest := w.add(schemas.KindData, "", `"idle"`)
	w.topic = "draft"
	w.text("draft", 100)
	w.topic = "tokens"
	for range 20 * KeptMessages {
		w.add(schemas.KindData, "", `1`)
	}
	w.has("goes on", "draft")
	for _, s := range stores {
		seen := make(map[uint64]bool)
		for _, m := range kept(t, s, w.name) {
			seen[m.ID.Seq] = true
		}
		if !seen[latest.Seq] {
			t.Errorf("kept %v, want %d", seen, latest.Seq)
		}
	}
	w.topic = "log"
	w.add(schemas.KindChunk, "goes on", `"two"`)
	w.has("goes on")
	w.add(schemas.KindStreamEnd, "goes on", `{}`)
	w.has("goes on", "draft")
}

// writer publishes messages and texts to one channel.
type writer struct {
	t      *testing.T
	name   schemas.Channel
	topic  schemas.Topic
	stores []Store
	each   bool // the nth message goes to the nth store
	all    []sent
	sent   map[string]string // by stream id
	ended  map[string]bool
}

func (w *writer) add(kind schemas.Kind, stream, data string) schemas.ID {
	w.t.Helper()
	e := entry(w.name, data, "")
	e.Kind, e.StreamID, e.Limits.Messages = kind, stream, KeptMessages
	e.Limits.TextBytes = 1 << 20
	if w.topic != "" {
		e.Topic = w.topic
	}
	if w.sent == nil {
		w.sent, w.ended = make(map[string]string), make(map[string]bool)
	}
	if kind == schemas.KindChunk {
		e.Offset = int64(len(w.sent[stream]))
		w.sent[stream] += textOf(w.t, e.Data)
	}
	w.ended[stream] = kind == schemas.KindStreamEnd
	to := 0
	if w.each {
		to = len(w.all) % len(w.stores)
	}
	id := put(w.t, w.stores[to], e).ID
	w.all = append(w.all, sent{e.Topic, id.Seq})
	return id
}

func textOf(t *testing.T, data []byte) (text string) {
	t.Helper()
	if err := json.Unmarshal(data, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// text publishes a text of some pieces.
func (w *writer) text(stream string, pieces int) {
	w.t.Helper()
	w.add(schemas.KindStreamStart, stream, `{}`)
	for i := range pieces {
		w.add(schemas.KindChunk, stream, fmt.Sprintf(`"%s-%d, "`, stream, i))
	}
	w.add(schemas.KindStreamEnd, stream, `{}`)
}

// has wants the stores to have the texts whole.
func (w *writer) has(streams ...string) {
	w.t.Helper()
	for i, s := range w.stores {
		got, err := s.Load(w.t.Context(), w.name)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, stream := range streams {
			text, started, ended := Joined(w.t, got, stream)
			if text != w.sent[stream] || !started || ended != w.ended[stream] {
				w.t.Errorf("store %d has %q (started %t, ended %t) of the text %s, want %q", i, text, started, ended, stream, w.sent[stream])
			}
		}
	}
}

// noParts wants the stores to have each text whole, or nothing of it. A store may keep more
// than the limits ask for.
func (w *writer) noParts() {
	w.t.Helper()
	for i, s := range w.stores {
		got, err := s.Load(w.t.Context(), w.name)
		if err != nil {
			w.t.Fatal(err)
		}
		for stream, sent := range w.sent {
			text, started, ended := Joined(w.t, got, stream)
			if (text != sent || !started || ended != w.ended[stream]) && (text != "" || started || ended) {
				w.t.Errorf("store %d has %q (started %t, ended %t) of the text %s", i, text, started, ended, stream)
			}
		}
	}
}

// Joined returns what a snapshot has of a text.
func Joined(t *testing.T, kept engine.Snapshot, stream string) (text string, started, ended bool) {
	t.Helper()
	for _, m := range kept.Messages {
		switch {
		case m.StreamID != stream:
		case m.Kind == schemas.KindStreamStart:
			started = true
		case m.Kind == schemas.KindStreamEnd:
			ended = true
		case m.Offset != int64(len(text)):
			t.Errorf("of the text %s, a piece at %d comes after %d bytes", stream, m.Offset, len(text))
		default:
			text += textOf(t, m.Data)
		}
	}
	return text, started, ended
}
