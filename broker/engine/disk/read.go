package disk

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// read calls fn with the database and wraps its error in [engine.ErrUnavailable]. It holds
// storeMu only so that the database is not closed meanwhile. The committer takes that lock
// when it replaces a failed database, but not when it writes.
//
// fn does not read from a snapshot, so a later read may see newer data than an earlier one.
// Therefore fn must read losses last. (Releasing a Pebble snapshot can wait for the
// manifest, and on a full disk that wait may not end.)
func (e *Engine) read(ctx context.Context, fn func(pebble.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.storeMu.RLock()
	defer e.storeMu.RUnlock()
	select {
	case <-e.stop:
		return unavailable(errClosed)
	default:
	}
	return unavailable(fn(e.store.db))
}

// Head implements [engine.Engine].
func (e *Engine) Head(ctx context.Context) (uint64, error) { return e.head.Load(), ctx.Err() }

// Recall implements [engine.Engine].
func (e *Engine) Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (r schemas.Receipt, found bool, err error) {
	err = e.read(ctx, func(db pebble.Reader) error {
		m := schemas.Message{Channel: channel, Topic: topic}
		r, found, err = e.recall(db, &m, hashOf(channel, topic, key))
		return err
	})
	if found {
		err = e.awaitDisk(ctx)
	}
	if err != nil {
		return schemas.Receipt{}, false, err
	}
	if found {
		e.stats.replayed.Add(1)
	}
	return r, found, nil
}

// awaitDisk waits until something durable that was read is on the disk. It took effect, but
// the disk may not have it yet. The committer syncs it before it takes another request, so an
// empty request waits for that.
func (e *Engine) awaitDisk(ctx context.Context) error {
	if e.journal.Synced() >= e.journal.Written() {
		return nil
	}
	return e.do(ctx, func(*group) error { return nil })
}

func (e *Engine) recall(db pebble.Reader, m *schemas.Message, hash keyHash) (schemas.Receipt, bool, error) {
	var first receipt
	found, err := get(db, receiptKey(hash), func(b []byte) (err error) {
		first, err = decodeReceipt(b)
		return err
	})
	if !found || err != nil {
		return schemas.Receipt{}, false, err
	}
	return schemas.Receipt{
		ID:      schemas.ID{Epoch: e.epoch, Seq: first.seq},
		Channel: m.Channel, Topic: m.Topic, Kind: first.kind, CreatedAt: first.at,
		Durable: true, Duplicate: true,
	}, true, nil
}

// readRun returns the latest run message of a channel, or nil if there is none.
func (e *Engine) readRun(db getter, name schemas.Channel, now int64) (*schemas.Message, error) {
	var m schemas.Message
	found, err := db.get(runKey(name), func(b []byte) (err error) {
		m, err = decodeMessage(bytes.Clone(b), e.epoch, name)
		return err
	})
	if err != nil || !found || int64(m.CreatedAt)+e.opts.RunsFor.Milliseconds() <= now {
		return nil, err
	}
	return &m, nil
}

// Load implements [engine.Engine].
func (e *Engine) Load(ctx context.Context, name schemas.Channel) (kept engine.Snapshot, err error) {
	err = e.read(ctx, func(db pebble.Reader) error {
		v, err := newView(db)
		if err != nil {
			return err
		}
		c, err := readMeta(v, name)
		switch {
		case err != nil:
		case c != nil:
			kept, err = e.load(v, c, time.Now().UnixMilli())
		default:
			var lost uint64
			lost, err = readLost(v, cellOf(string(name)))
			kept.Lost = engine.AllLost(lost)
		}
		return firstOf(err, v.close())
	})
	if err != nil {
		return engine.Snapshot{}, err
	}
	return kept, nil
}

// load reads what is within the limits of a channel at the time now, or kept over them.
func (e *Engine) load(v *view, c *meta, now int64) (kept engine.Snapshot, err error) {
	if kept.Lost, err = readLosses(v, c); err != nil {
		return kept, err
	}
	if kept.Run, err = e.readRun(v, c.name, now); err != nil || c.count == 0 {
		return kept, err
	}
	live, drop := v.retained(c, now)
	for i := range drop {
		drop[i].lose(&kept.Lost)
	}
	kept.Messages = make([]schemas.Message, 0, len(live))
	texts := false
	for i := range live {
		texts = texts || live[i].text.id > 0
		kept.Messages = v.expand(kept.Messages, &live[i], e.epoch, c.name)
	}
	if texts {
		slices.SortFunc(kept.Messages, func(a, b schemas.Message) int { return cmp.Compare(a.ID.Seq, b.ID.Seq) })
	}
	return kept, nil
}

// channels calls fn, in order of name, with each channel that holds something, begins with
// prefix and comes after the given name. It stops when fn returns false.
func (e *Engine) channels(ctx context.Context, db pebble.Reader, prefix string, after schemas.Channel, fn func(*meta) bool) error {
	now := time.Now().UnixMilli()
	bounds := &pebble.IterOptions{LowerBound: channelKey(schemas.Channel(prefix))}
	bounds.UpperBound = upTo(bounds.LowerBound)
	if string(after) >= prefix && after != "" {
		bounds.LowerBound = append(channelKey(after), 0)
	}
	if bytes.Compare(bounds.LowerBound, bounds.UpperBound) >= 0 {
		return nil
	}
	iter, err := db.NewIter(bounds)
	if err != nil {
		return err
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		name := schemas.Channel(iter.Key()[1:])
		var c meta
		if c, err = decodeMeta(iter.Value(), name); err != nil {
			err = errorAt(iter.Key(), err)
			break
		}
		if err = ctx.Err(); err != nil || c.holds(now, e.opts.RunsFor) && !fn(&c) {
			break
		}
	}
	return firstOf(err, iter.Error(), iter.Close())
}

// Matching implements [engine.Engine]. The channels with the newest messages come first, and
// are preferred if there are more than limit. It reads the metadata of every channel that
// matches, about a million a second.
func (e *Engine) Matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (found engine.Found, err error) {
	prefix := strings.TrimSuffix(string(pattern), "*")
	newest := channelsByAge{}
	err = e.read(ctx, func(db pebble.Reader) error {
		err := e.channels(ctx, db, prefix, "", func(c *meta) bool {
			if c.last > after && len(c.name) > len(prefix) {
				found.More = newest.add(limit, c.last, c.name) || found.More
			}
			return true
		})
		if err == nil {
			found.Lost, err = readLost(current{db}, cellOf(string(pattern)))
		}
		return err
	})
	slices.SortFunc(newest, func(a, b aged) int { return cmp.Compare(b.last, a.last) })
	for _, c := range newest {
		found.Channels = append(found.Channels, c.name)
	}
	return found, err
}

// Delete implements [engine.Engine].
func (e *Engine) Delete(ctx context.Context, name schemas.Channel) (found bool, err error) {
	err = e.freeSpace(ctx, func(g *group) (err error) {
		found, err = g.clear(name)
		return err
	})
	if err != nil {
		return false, err
	}
	return e.sink.Drop(name) || found, nil
}
