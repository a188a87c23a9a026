package enginetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Losses tests that stores say of which topics messages are lost: of a text that they have
// whole, nothing is, however many messages of other topics came before, meanwhile and after.
func Losses(t *testing.T, stores ...Store) {
	t.Helper()
	w := &writer{t: t, name: "losses", stores: stores, each: true}
	noise := func(n int) {
		w.topic = "noise"
		for i := range n {
			w.add(schemas.KindData, "", fmt.Sprint(i))
		}
	}
	piece := func(kind schemas.Kind, data string) {
		w.topic = "draft"
		w.add(kind, "draft", data)
	}
	noise(manyMessages / 4)
	w.topic = "once"
	w.add(schemas.KindData, "", `"lost"`)
	piece(schemas.KindStreamStart, `{}`)
	for range 20 {
		piece(schemas.KindChunk, `"and so on, "`)
		noise(manyMessages / 100)
	}
	w.losses("draft")
	piece(schemas.KindStreamEnd, `{}`)
	w.losses("draft")
	w.topic = "once"
	w.add(schemas.KindData, "", `"kept"`)
	for range 4 {
		noise(manyMessages / 4)
		w.losses("draft")
	}
	w.has("draft")
	w.topic = "draft"
	for i := range 3 * KeptMessages {
		w.text(fmt.Sprint("later ", i), 40)
	}
	w.losses()
	if _, err := stores[0].Delete(t.Context(), w.name); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		w.hears(s)
	}
	w.losses()
}

// hears waits until a store says that all is lost: the other nodes hear of a deletion a little
// later than whoever asked for it.
func (w *writer) hears(s Store) {
	w.t.Helper()
	last := w.all[len(w.all)-1].seq
	for deadline := time.Now().Add(2 * time.Minute); ; {
		kept, err := s.Load(w.t.Context(), w.name)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(kept.Messages) == 0 && kept.Lost.Every >= last {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("a store does not hear of the deletion, and says that this is lost: %s", told(kept.Lost))
		}
	}
}

// losses wants the stores to say of everything that they do not have that it is lost, and
// that nothing is lost of the given topics.
func (w *writer) losses(whole ...schemas.Topic) {
	w.t.Helper()
	for i, s := range w.stores {
		kept, err := s.Load(w.t.Context(), w.name)
		if err != nil {
			w.t.Fatal(err)
		}
		have := make(map[uint64]bool)
		for _, m := range kept.Messages {
			have[m.ID.Seq] = true
		}
		first := make(map[schemas.Topic]uint64)
		for _, m := range w.all {
			if first[m.topic] == 0 {
				first[m.topic] = m.seq
			}
			if !have[m.seq] && kept.Lost.Of(m.topic) < m.seq {
				w.t.Fatalf("store %d does not have %d of %s, and says that this is lost: %s", i, m.seq, m.topic, told(kept.Lost))
			}
		}
		for _, topic := range whole {
			if kept.Lost.Of(topic) >= first[topic] {
				w.t.Errorf("store %d has the topic %s whole from %d on, and says that this is lost: %s", i, topic, first[topic], told(kept.Lost))
			}
		}
	}
}

func told(l engine.Losses) string {
	return fmt.Sprintf("up to %d of every topic, %v, newest %d", l.Every, l.Topics, l.Newest)
}

// sent is a message that was published.
type sent struct {
	topic schemas.Topic
	seq   uint64
}
