package idempotency

import (
	"encoding/binary"
	"sync"

	"github.com/sluicehq/sluice/broker/engine"
)

// Texts are the records of texts, see [engine.Text]. Those of open texts stay: their
// publishers are connected, or were a moment ago, and that bounds how many there are.
// Those of texts that have ended are kept beside the receipts, and may be forgotten early
// like them. All methods are safe for concurrent use.
type Texts struct {
	receipts *Receipts

	mu   sync.Mutex
	open map[engine.TextName]record // guarded by mu
}

type record struct {
	engine.Text
	revision uint64
}

// NewTexts returns an empty memory that keeps texts that have ended beside receipts.
func NewTexts(receipts *Receipts) *Texts {
	return &Texts{receipts: receipts, open: make(map[engine.TextName]record)}
}

// Get returns the record of a text and its revision, 0 if there is none.
func (t *Texts) Get(name engine.TextName) (text engine.Text, revision uint64, err error) {
	if r, found := t.find(name); found {
		return r.Text, r.revision, nil
	}
	data, known, err := t.receipts.get(endedKey(name))
	if !known || err != nil {
		return engine.Text{}, 0, err
	}
	text, rest, err := engine.ParseText(data)
	revision, _ = binary.Uvarint(rest)
	return text, revision, err
}

// Revision returns the revision of an open text, 0 for any other.
func (t *Texts) Revision(name engine.TextName) uint64 {
	r, _ := t.find(name)
	return r.revision
}

func (t *Texts) find(name engine.TextName) (record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, found := t.open[name]
	return r, found
}

// Set sets the record of a text.
func (t *Texts) Set(name engine.TextName, text engine.Text, revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text.State == engine.TextOpen {
		t.open[name] = record{text, revision}
		return
	}
	t.receipts.set(endedKey(name), binary.AppendUvarint(text.Append(nil), revision))
	delete(t.open, name)
}

// endedKey returns the key of a text that has ended. No key of a durable publish begins
// with a line feed.
func endedKey(name engine.TextName) Key { return KeyOf(name.Channel, name.Topic, "\n"+name.StreamID) }
