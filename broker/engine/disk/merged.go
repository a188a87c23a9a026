package disk

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// Messages of a topic that follow each other and agree, as its [schemas.MergeRule] says, are
// held as one. So for the limits of their channel they are one, whose position is that of the
// newest, and they are stored like the pieces of a text:
//
//   - Segments have them, each with its position. What their data has around the string that
//     grows is written once for a segment, as long as it is the same to the byte. From the
//     first message on where it is not, segments have the data as it is. Of traceparents, they
//     have only that of their first message: those who read the messages as one see no other.
//   - As long as the newest message of the topic is one of them, tableTexts has an entry that
//     says in what they agree.
//   - When another message comes to the topic, an entry among the messages, at the position of
//     the newest of them, says where the segments are. It is no message itself (appendMerged).
//
// A group writes that entry when it is complete. Its position may be far below those of the
// group, and until then retention meets the messages among the texts that go on.

// maxAround is how many bytes around the string are written once for a segment at most: when the
// messages are loaded, each has them again, and short strings must not become many megabytes.
const maxAround = 256

// split finds out whether the entry may be held as one with others. Like in memory, a message
// of which the string, or the rest, is very long is held by itself.
func (r *request) split() {
	e := &r.entry
	rule := e.Limits.Merge.Of(e.Topic)
	if rule == nil || e.Kind != schemas.KindData || e.StreamID != "" {
		return
	}
	p, ok := rule.Split(e.Data)
	if ok && len(p.Text) <= maxSegment && len(p.Before)+len(p.After)+len(p.Key) <= maxSegment/2 {
		r.merges, r.parts = true, p
	}
}

// endedMerge is messages that were held as one, and to which no other will be added.
type endedMerge struct {
	meta *meta
	text *openText
}

// merging returns the messages that the next one of the topic may be held as one with.
func (c *meta) merging(topic schemas.Topic) *openText {
	for _, t := range c.texts {
		if t.merged && !t.ended && t.topic == topic {
			return t
		}
	}
	return nil
}

// continued returns the messages that r is held as one with, nil if there are none. In that
// case those before it on the topic have ended.
func (g *group) continued(r *request) *openText {
	m := &r.entry.Message
	t := r.meta.merging(m.Topic)
	if t == nil || r.merges && t.key == r.parts.Key && t.head.runID == m.RunID && t.head.sub == m.Sub {
		return t
	}
	t.ended = true
	g.ended = append(g.ended, endedMerge{r.meta, t})
	return nil
}

// putMerged writes a message that is held as one with those of t, or with later ones if t is
// nil.
func (g *group) putMerged(r *request, t *openText) error {
	c, m := r.meta, &r.entry.Message
	if t != nil {
		return g.extend(c, t, m)
	}
	t = &openText{textRef: textRef{id: m.ID.Seq, first: 1}, merged: true, key: r.parts.Key}
	t.topic = schemas.Topic(strings.Clone(string(m.Topic)))
	t.head = segmentHead{kind: m.Kind}
	if len(r.parts.Before)+len(r.parts.After) <= maxAround {
		t.head.before, t.head.after = string(r.parts.Before)+quote, quote+string(r.parts.After)
	}
	c.texts = append(c.texts, t)
	c.open++
	c.count++
	return g.beginSegment(c, t, m)
}

// storeEnded stores where messages are that have ceased to be merged with others, unless they
// were dropped. It drops those that were kept over the limits, as the latest of their topic.
func (g *group) storeEnded() error {
	for _, ended := range g.ended {
		c, t := ended.meta, ended.text
		if !slices.Contains(c.texts, t) {
			continue
		}
		var err error
		if _, kept := slices.BinarySearch(c.kept, t.id); kept {
			c.release(t)
			err = g.drop(c, []item{itemOf(t)})
		} else {
			at := schemas.Message{Channel: c.name, ID: schemas.ID{Seq: t.seq}}
			g.buf = appendMerged(g.buf[:0], t)
			err = firstOf(g.putMessage(c, &at), g.closeText(c, t))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// appendMerged appends the entry for messages that were held as one.
func appendMerged(b []byte, t *openText) []byte {
	m := schemas.Message{ID: schemas.ID{Seq: t.seq}, Topic: t.topic, Kind: schemas.KindData, CreatedAt: schemas.Time(t.at)}
	return appendEnd(b, &m, &t.textRef)
}
