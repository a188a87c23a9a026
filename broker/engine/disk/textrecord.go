package disk

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// The record of a text says who may write it, see [engine.Text]. It is stored and forgotten
// like the receipt of a durable publish: in tableKeys, under a hash that no key has. Its entry
// in the expiry index is one for keys, too, so a program that knows no records forgets them
// at the right time, and the format is the same. But each record has an entry of its own,
// which moves when the record is set again.
//
// To set a record takes a position, which is the record's new revision. No message has that
// position. The committer sets records among the messages of a group: what comes before in
// the group is checked against the old revision, what comes after against the new one.

// fence is what the committer must know of the record of a text. The zero value is that of a
// text without a record.
type fence struct {
	revision uint64
	due      int64 // time of the record's entry in the expiry index
}

// textChange is a request to set the record of a text.
type textChange struct {
	text     engine.Text
	revision uint64 // that the record must have; then the new one
	was      fence  // set by admit
}

func hashOfText(name *engine.TextName) keyHash {
	return hashOf(name.Channel, name.Topic, "\n"+name.StreamID) // keys cannot hold a line feed
}

// Text implements [engine.Engine].
func (e *Engine) Text(ctx context.Context, name engine.TextName) (t engine.Text, revision uint64, err error) {
	var f fence
	err = e.read(ctx, func(db pebble.Reader) error {
		f, t, err = readText(db, hashOfText(&name))
		return err
	})
	if err == nil && f.revision > 0 {
		err = e.awaitDisk(ctx)
	}
	if err != nil {
		return engine.Text{}, 0, err
	}
	t.Orphaned = t.State == engine.TextOpen && f.revision <= e.began
	return t, f.revision, nil
}

// SetText implements [engine.Engine].
func (e *Engine) SetText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	r := e.request()
	r.text, r.set = hashOfText(&name), &textChange{text: t, revision: revision}
	if err := e.ask(ctx, r); err != nil {
		return 0, err
	}
	revision, err := r.set.revision, r.err
	e.release(r)
	if err != nil {
		return 0, err
	}
	return revision, nil
}

// checkFence checks that the record of the text of r has the given revision. Otherwise r has
// its answer.
func (g *group) checkFence(r *request, revision uint64) (f fence, refused bool, err error) {
	f, err = g.fence(r.text)
	if err == nil && f.revision != revision {
		r.err = engine.ErrFenced
	}
	return f, r.err != nil, err
}

// fence returns the newest revision of a text's record. Pieces come so often that most must
// find it in memory.
func (g *group) fence(hash keyHash) (fence, error) {
	if f, found := g.fences[hash]; found {
		return f, nil
	}
	if f, found := g.e.fences.Get(hash); found {
		return f, nil
	}
	f, _, err := readText(g.e.db(), hash)
	if err == nil && f.revision > 0 {
		g.e.fences.Put(hash, f)
	}
	return f, err
}

// setText sets the record of a text. admit has accepted r.
func (g *group) setText(r *request) error {
	g.state.head++
	f := fence{revision: g.state.head, due: g.now + g.e.opts.RememberFor.Milliseconds()}
	t := &r.set.text
	t.Since, t.At = cmp.Or(t.Since, f.revision), schemas.Time(g.now)
	if was := r.set.was; was.revision == 0 {
		g.state.remembered++
	} else if err := g.batch.Delete(textExpiryKey(was.due, r.text), nil); err != nil {
		return err
	}
	g.buf = f.append(g.buf[:0], t)
	if err := firstOf(
		g.batch.Set(textExpiryKey(f.due, r.text), r.text[:], nil),
		g.batch.Set(receiptKey(r.text), g.buf, nil),
	); err != nil {
		return err
	}
	r.set.revision = f.revision
	g.fences[r.text] = f
	g.durable = true
	return nil
}

// textExpiryKey differs in its length from those of the keys of a group.
func textExpiryKey(due int64, hash keyHash) []byte {
	return append(expiryKey(due, lookKeys), hash[:]...)
}

// append appends the value of a record:
//
//	version | revision | due | text
func (f *fence) append(b []byte, t *engine.Text) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, f.revision)
	b = binary.AppendUvarint(b, uint64(f.due))
	return t.Append(b)
}

func decodeText(b []byte) (f fence, t engine.Text, err error) {
	d := decoder{rest: b}
	d.version(version)
	f.revision, f.due = d.number(), int64(d.number())
	if d.err != nil {
		return fence{}, engine.Text{}, d.err
	}
	if t, d.rest, err = engine.ParseText(d.rest); err != nil {
		return fence{}, engine.Text{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	return f, t, d.end()
}

// readText returns the record of a text, if there is one.
func readText(db pebble.Reader, hash keyHash) (f fence, t engine.Text, err error) {
	_, err = get(db, receiptKey(hash), func(b []byte) (err error) {
		f, t, err = decodeText(b)
		return err
	})
	return f, t, err
}
