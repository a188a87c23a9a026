package disk

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// getter reads single values. It reports whether there is one.
type getter interface {
	get(key []byte, decode func([]byte) error) (found bool, err error)
}

// current reads what the database has at the time of each call.
type current struct{ db pebble.Reader }

func (c current) get(key []byte, decode func([]byte) error) (bool, error) {
	return get(c.db, key, decode)
}

// view reads all that it reads as of the moment when it was created: it is one iterator.
// (A snapshot of Pebble would do, too, but to release one can wait for the manifest, and on
// a full disk that wait may not end.)
type view struct {
	iter *pebble.Iterator
	err  error // the first
}

func newView(db pebble.Reader) (*view, error) {
	iter, err := db.NewIter(nil)
	return &view{iter: iter}, err
}

// close returns the first error.
func (v *view) close() error { return firstOf(v.err, v.iter.Error(), v.iter.Close()) }

func (v *view) fail(key []byte, err error) { v.err = firstOf(v.err, errorAt(key, err)) }

// get implements [getter].
func (v *view) get(key []byte, decode func([]byte) error) (bool, error) {
	if !v.iter.SeekGE(key) || !bytes.Equal(v.iter.Key(), key) {
		return false, v.iter.Error()
	}
	if err := decode(v.iter.Value()); err != nil {
		return true, errorAt(key, err)
	}
	return true, nil
}

// item is one message for the limits of a channel: a message, or a text.
type item struct {
	seq   uint64 // its newest position
	at    int64  // when that was published, in ms
	size  int64
	topic schemas.Topic
	run   bool      // it is a run message
	text  textRef   // of the text that it is; none for a message
	bare  bool      // the value is only that of a text, see appendMerged
	open  *openText // the text goes on; nil otherwise
	value []byte    // of a message, or of the one that ends the text
}

// ref returns how [meta.kept] refers to it.
func (it *item) ref() uint64 {
	if it.open != nil {
		return it.text.id
	}
	return it.seq
}

// lose notes that it is lost.
func (it *item) lose(l *engine.Losses) {
	if it.run {
		l.AddRun(it.seq)
	} else {
		l.Add(it.topic, it.seq)
	}
}

// first returns its oldest position.
func (it *item) first() uint64 { return cmp.Or(it.text.id, it.seq) }

func itemOf(t *openText) item {
	return item{seq: t.seq, at: t.at, size: t.size, topic: t.topic, text: t.textRef, open: t}
}

// decodeItemOf decodes as much of a message as retention needs. The value shares memory with b.
func decodeItemOf(seq uint64, b []byte) (item, error) {
	d := decoder{rest: b}
	written := d.version(tracedVersion)
	kind := d.kind()
	it := item{run: kind == schemas.KindRun, seq: d.number(), at: int64(d.number()), size: int64(len(b)), value: b}
	if written > 1 {
		d.signed()
	}
	it.topic = schemas.Topic(d.text())
	if written == endVersion {
		for range 3 {
			d.bytes()
		}
		it.text, it.bare = d.textRef(), kind == schemas.KindData
		it.size += it.text.size
	}
	if d.err == nil && it.seq != seq {
		d.fail("another position than its key")
	}
	return it, d.err
}

// messages iterates over the messages of a channel from a position on, oldest first or newest
// first.
func (v *view) messages(name schemas.Channel, from uint64, newest bool) iter.Seq[item] {
	return func(yield func(item) bool) {
		begin := messageKey(nil, name, from)
		ok, next := false, v.iter.Next
		if newest {
			ok, next = v.iter.SeekLT(upTo(messagesOf(nil, name))), v.iter.Prev
		} else {
			ok = v.iter.SeekGE(begin)
		}
		prefix := len(begin) - 8
		for ; ok; ok = next() {
			key := v.iter.Key()
			if len(key) != len(begin) || !bytes.Equal(key[:prefix], begin[:prefix]) || bytes.Compare(key, begin) < 0 {
				return
			}
			it, err := decodeItemOf(seqOf(key), v.iter.Value())
			if err != nil {
				v.fail(key, err)
				return
			}
			if !yield(it) {
				return
			}
		}
	}
}

// openTexts reads the texts of a channel that go on.
func (v *view) openTexts(name schemas.Channel) (texts []*openText) {
	prefix := textsOf(name)
	for ok := v.iter.SeekGE(prefix); ok && bytes.HasPrefix(v.iter.Key(), prefix); ok = v.iter.Next() {
		key := v.iter.Key()
		if len(key) != len(prefix)+8 {
			return // of a channel whose name goes on: it cannot be
		}
		t, err := decodeOpenText(v.iter.Value(), seqOf(key))
		if err != nil {
			v.fail(key, err)
			return nil
		}
		texts = append(texts, t)
	}
	for _, t := range texts {
		v.readEnd(t, name)
	}
	return texts
}

// readEnd reads the newest segment of a text.
func (v *view) readEnd(t *openText, name schemas.Channel) {
	key := segmentKey(t.id, t.last)
	found, err := v.get(key, func(b []byte) (err error) {
		t.head, t.end, err = decodeSegment(b, 0, name, func(m *schemas.Message) { t.add(m, int64(len(b))) })
		return err
	})
	switch {
	case err != nil:
		v.err = firstOf(v.err, err)
	case !found:
		v.fail(key, fmt.Errorf("%w: it is missing", errRecord))
	}
}

// kept returns the messages of a channel that are kept over its limits, oldest first. texts
// are those that go on.
func (v *view) kept(c *meta, texts []*openText) (items []item) {
	for _, ref := range c.kept {
		if i := slices.IndexFunc(texts, func(t *openText) bool { return t.id == ref }); i >= 0 {
			items = append(items, itemOf(texts[i]))
			continue
		}
		key := messageKey(nil, c.name, ref)
		found, err := v.get(key, func(b []byte) error {
			it, err := decodeItemOf(ref, bytes.Clone(b))
			items = append(items, it)
			return err
		})
		switch {
		case err != nil:
			v.err = firstOf(v.err, err)
		case !found:
			v.fail(key, fmt.Errorf("%w: it is missing", errRecord))
		}
	}
	slices.SortFunc(items, bySeq)
	return items
}

func bySeq(a, b item) int { return cmp.Compare(a.seq, b.seq) }

// counted iterates over the messages of a channel that count for its limits, oldest first.
func (v *view) counted(c *meta, texts []*openText) iter.Seq[item] {
	return func(yield func(item) bool) {
		var open []item
		for _, t := range texts {
			if !slices.Contains(c.kept, t.id) {
				open = append(open, itemOf(t))
			}
		}
		slices.SortFunc(open, bySeq)
		for it := range v.messages(c.name, c.first, false) {
			for len(open) > 0 && open[0].seq < it.seq {
				if !yield(open[0]) {
					return
				}
				open = open[1:]
			}
			if !yield(it) {
				return
			}
		}
		for _, it := range open {
			if !yield(it) {
				return
			}
		}
	}
}

// retained returns what is within the limits of a channel at the time now, or kept over them,
// and what is neither, and is to be dropped.
func (v *view) retained(c *meta, now int64) (items, drop []item) {
	var texts []*openText
	if c.open > 0 {
		texts = v.openTexts(c.name)
	}
	r := c.retention(v.kept(c, texts))
	for it := range v.counted(c, texts) {
		it.value = bytes.Clone(it.value)
		if len(items) > 0 || !r.exceeds(it, now) {
			items = append(items, it)
		}
	}
	latest := r.topics(now)
	for i := range items {
		delete(latest, items[i].topic)
	}
	drop, keep := r.decide(latest, now)
	return append(keep, items...), drop
}

// expand appends the messages of an item.
func (v *view) expand(messages []schemas.Message, it *item, epoch uint64, name schemas.Channel) []schemas.Message {
	size := int64(0)
	_ = it.text.keys(func(key []byte) error {
		_, err := v.get(key, func(b []byte) error {
			size += int64(len(b))
			_, _, err := decodeSegment(b, epoch, name, func(m *schemas.Message) { messages = append(messages, *m) })
			return err
		})
		v.err = firstOf(v.err, err)
		return nil
	})
	if size != it.text.size {
		v.fail(segmentKey(it.text.id, it.text.last), fmt.Errorf("%w: the text has %d bytes, not %d", errRecord, size, it.text.size))
	}
	if it.open != nil || it.bare {
		return messages
	}
	m, err := decodeMessage(it.value, epoch, name)
	if err != nil {
		v.fail(messageKey(nil, name, it.seq), err)
	}
	return append(messages, m)
}
