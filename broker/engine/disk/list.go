package disk

import (
	"bytes"
	"cmp"
	"context"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// List implements [engine.Engine]. For each channel it reads the metadata, and the messages
// up to the first one that is within the limits. Texts that go on count in any case.
func (e *Engine) List(ctx context.Context, prefix string, after schemas.Channel, limit int) (list []engine.Summary, err error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	err = e.read(ctx, func(db pebble.Reader) error {
		var found []meta
		err := e.channels(ctx, db, prefix, after, func(c *meta) bool {
			found = append(found, *c)
			return len(found) < limit
		})
		if err != nil {
			return err
		}
		list = make([]engine.Summary, len(found))
		now := time.Now().UnixMilli()
		for i := range found {
			if list[i], err = e.summary(db, &found[i], now); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return list, err
}

// summary returns what a channel holds.
func (e *Engine) summary(db pebble.Reader, c *meta, now int64) (s engine.Summary, err error) {
	s = engine.Summary{Channel: c.name, Messages: c.count, Bytes: c.bytes, Last: c.last}
	if c.hasRun(now, e.opts.RunsFor) {
		if s.Run, err = e.readRun(current{db}, c.name, now); err != nil {
			return s, err
		}
	}
	if c.count == 0 {
		return s, nil
	}
	v, err := newView(db)
	if err != nil {
		return s, err
	}
	r := c.retention(nil)
	over := uint64(0) // the newest one that exceeds the limits
	for it := range v.messages(c.name, c.first, false) {
		if !r.exceeds(it, now) {
			s.First = it.first()
			break
		}
		over = it.first()
	}
	if c.open > 0 {
		prefix := textsOf(c.name)
		if v.iter.SeekGE(prefix) && bytes.HasPrefix(v.iter.Key(), prefix) {
			if id := seqOf(v.iter.Key()); s.First == 0 || id < s.First {
				s.First = id
			}
		}
	}
	s.First = cmp.Or(s.First, over)
	s.Messages, s.Bytes = r.count+len(c.kept), r.bytes+c.keptBytes
	return s, v.close()
}
