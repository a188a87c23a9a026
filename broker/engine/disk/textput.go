package disk

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// loadTexts loads the texts of a channel that go on.
func (g *group) loadTexts(c *meta) error {
	if c.loaded || c.open == 0 {
		c.loaded = true
		return nil
	}
	v, err := newView(g.e.db())
	if err != nil {
		return err
	}
	texts := v.openTexts(c.name)
	if err := v.close(); err != nil {
		return err
	}
	c.texts, c.loaded = texts, true
	return nil
}

// putPiece writes a piece of a text. The texts of the channel are loaded.
func (g *group) putPiece(c *meta, m *schemas.Message) error {
	t := c.text(m)
	switch {
	case m.Kind == schemas.KindStreamEnd && t == nil:
		g.buf = appendMessage(g.buf[:0], m)
		c.count++
		return g.putMessage(c, m)
	case m.Kind == schemas.KindStreamEnd:
		c.release(t)
		g.buf = appendEnd(g.buf[:0], m, &t.textRef)
		return firstOf(g.putMessage(c, m), g.closeText(c, t))
	case t == nil:
		t = &openText{textRef: textRef{id: m.ID.Seq, first: 1}}
		t.topic, t.streamID = schemas.Topic(strings.Clone(string(m.Topic))), strings.Clone(m.StreamID)
		c.texts = append(c.texts, t)
		c.open++
		c.count++
		return g.beginSegment(c, t, m)
	}
	return g.extend(c, t, m)
}

// extend adds m, which is not an end, to a text that has begun.
func (g *group) extend(c *meta, t *openText, m *schemas.Message) error {
	c.release(t)
	if !t.takes(m) {
		return g.beginSegment(c, t, m)
	}
	g.buf = appendPiece(g.buf[:0], m, t.seq, t.at, &t.head)
	op := g.batch.MergeDeferred(segmentKeyBytes, len(g.buf))
	copy(op.Key, segmentKey(t.id, t.last))
	copy(op.Value, g.buf)
	g.grown = append(g.grown, grown{meta: c, text: t, seq: m.ID.Seq, after: t.seq, at: t.at})
	t.end = t.endAfter(m)
	t.add(m, t.full+int64(len(g.buf)))
	g.grow(c, int64(len(g.buf)))
	return op.Finish()
}

// text returns the text that m is a piece of, nil if m begins one.
func (c *meta) text(m *schemas.Message) *openText {
	if m.Kind == schemas.KindStreamStart {
		return nil
	}
	for _, t := range slices.Backward(c.texts) {
		if !t.merged && t.streamID == m.StreamID && t.topic == m.Topic {
			return t
		}
	}
	return nil
}

// beginSegment writes m, which is not an end, to the next segment of t.
func (g *group) beginSegment(c *meta, t *openText, m *schemas.Message) error {
	offset := m.Offset
	if t.merged {
		offset = t.end
	}
	if m.Kind != schemas.KindStreamStart {
		if t.last++; t.last == t.first {
			t.begin = offset
		}
	}
	t.full, t.head = 0, t.nextHead(m)
	t.head.runID, t.head.sub = strings.Clone(m.RunID), strings.Clone(m.Sub)
	key := textKey(c.name, t.id)
	if err := g.batch.Set(key, t.append(g.buf[:0]), nil); err != nil {
		return err
	}
	g.buf = appendPiece(appendSegment(g.buf[:0], m, &t.head, offset), m, m.ID.Seq, int64(m.CreatedAt), &t.head)
	t.end = t.endAfter(m)
	t.add(m, int64(len(g.buf)))
	g.grow(c, int64(len(g.buf)))
	if t.tooLong(c.limits) {
		g.long = append(g.long, longText{c, t, c.limits})
	}
	return g.batch.Set(segmentKey(t.id, t.last), g.buf, nil)
}

// closeText removes a text from those that go on.
func (g *group) closeText(c *meta, t *openText) error {
	i := slices.Index(c.texts, t)
	c.texts = slices.Delete(c.texts, i, i+1)
	c.open--
	return g.batch.Delete(textKey(c.name, t.id), nil)
}

// release makes a text that was kept over the limits count again, because it grows.
func (c *meta) release(t *openText) {
	if i, kept := slices.BinarySearch(c.kept, t.id); kept {
		c.kept = slices.Delete(c.kept, i, i+1)
		c.keptBytes -= t.size
	}
}

// longText is a text that is longer than the limit.
type longText struct {
	meta   *meta
	text   *openText
	limits engine.Limits
}

// tooLong reports whether t is longer than the limits allow.
func (t *openText) tooLong(l engine.Limits) bool {
	return l.TextBytes > 0 && t.end-t.begin > l.TextBytes || t.merged && l.Bytes > 0 && t.size > l.Bytes
}

// shorten drops the oldest segments of texts that have become too long, as far as they are
// in the database.
func (g *group) shorten() error {
	for _, l := range g.long {
		c, t := l.meta, l.text
		if !slices.Contains(c.texts, t) {
			continue // it has ended since
		}
		was := t.first
		for t.tooLong(l.limits) && t.first < t.last {
			found, err := g.dropSegment(c, t)
			if err != nil {
				return err
			}
			if !found {
				break
			}
		}
		if t.first == was {
			continue
		}
		if err := g.batch.Set(textKey(c.name, t.id), t.append(g.buf[:0]), nil); err != nil {
			return err
		}
	}
	return nil
}

// dropSegment drops the oldest segment of a text that has several. It reports false if the
// database does not have it yet.
func (g *group) dropSegment(c *meta, t *openText) (found bool, err error) {
	last, size, end := uint64(0), int64(0), int64(0)
	key := segmentKey(t.id, t.first)
	found, err = get(g.e.db(), key, func(b []byte) (err error) {
		size = int64(len(b))
		_, end, err = decodeSegment(b, 0, c.name, func(m *schemas.Message) { last = m.ID.Seq })
		return err
	})
	if !found || err != nil {
		return false, err
	}
	losses, err := g.losses(c)
	if err != nil {
		return false, err
	}
	losses.AddBeginning(t.topic, last)
	t.first++
	t.size -= size
	t.begin = end
	g.grow(c, -size)
	return true, g.batch.Delete(key, nil)
}
