package disk

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// read calls fn with the database, and makes its error [broker.ErrUnavailable]. The
// lock is on the life of the database and no more: writers do not take it, only one
// who replaces a database that failed.
//
// What fn reads first may be older than what it reads next: a snapshot would be in
// the way of a disk that is full, since giving one up can wait for the manifest. So
// the order matters: losses are read last.
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

// Head implements [broker.Engine].
func (e *Engine) Head(ctx context.Context) (uint64, error) { return e.head.Load(), ctx.Err() }

// Recall implements [broker.Engine].
func (e *Engine) Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (r schemas.Receipt, found bool, err error) {
	err = e.read(ctx, func(db pebble.Reader) error {
		m := schemas.Message{Channel: channel, Topic: topic}
		r, found, err = e.recall(db, &m, hashOf(channel, topic, key))
		return err
	})
	if found && e.journal.synced.Load() < e.journal.written.Load() {
		// It took effect, but the disk may not have it yet: what comes next to the
		// committer, even if it is nothing, comes after that.
		err = e.do(ctx, func(*group) error { return nil })
	}
	if err != nil {
		return schemas.Receipt{}, false, err
	}
	if found {
		e.stats.replayed.Add(1)
	}
	return r, found, nil
}

func (e *Engine) recall(db pebble.Reader, m *schemas.Message, hash keyHash) (schemas.Receipt, bool, error) {
	var first receipt
	found, err := get(db, receiptKey(nil, hash), func(b []byte) (err error) {
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

// readRun returns the latest run message of a channel, nil if there is none.
func (e *Engine) readRun(db pebble.Reader, name schemas.Channel, now int64) (*schemas.Message, error) {
	var m schemas.Message
	found, err := get(db, runKey(name), func(b []byte) (err error) {
		m, err = decodeMessage(bytes.Clone(b), e.epoch, name)
		return err
	})
	if err != nil || !found || int64(m.CreatedAt)+e.opts.RunsFor.Milliseconds() <= now {
		return nil, err
	}
	return &m, nil
}

// Load implements [broker.Engine].
func (e *Engine) Load(ctx context.Context, name schemas.Channel) (kept broker.Kept, err error) {
	err = e.read(ctx, func(db pebble.Reader) error {
		before, err := readMeta(db, name)
		if err != nil {
			return err
		}
		if before == nil {
			kept.Lost, err = readLost(db, cellOf(string(name)))
			return err
		}
		if kept.Messages, err = e.messages(db, before); err != nil {
			return err
		}
		now := time.Now().UnixMilli()
		if kept.Run, err = e.readRun(db, name, now); err != nil {
			return err
		}
		after, err := readMeta(db, name)
		if err != nil {
			return err
		}
		if after == nil { // it has been forgotten meanwhile, for want of anything to keep
			kept = broker.Kept{Lost: max(before.lost, before.last)}
			return nil
		}
		after.cut(&kept, now)
		return nil
	})
	return kept, err
}

// messages reads the messages of a channel.
func (e *Engine) messages(db pebble.Reader, c *meta) ([]schemas.Message, error) {
	if c.count == 0 {
		return nil, nil
	}
	iter, err := messagesFrom(db, c.name, c.first)
	if err != nil {
		return nil, err
	}
	messages := make([]schemas.Message, 0, c.count)
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		var m schemas.Message
		if m, err = decodeMessage(bytes.Clone(iter.Value()), e.epoch, c.name); err == nil && m.ID.Seq != seqOf(iter.Key()) {
			err = errRecord
		}
		if err != nil {
			err = errorAt(iter.Key(), err)
			break
		}
		messages = append(messages, m)
	}
	return messages, firstOf(err, iter.Error(), iter.Close())
}

// cut leaves of what was read what is within the limits, and says what is lost.
func (c *meta) cut(kept *broker.Kept, now int64) {
	if c.runSeq == 0 {
		kept.Run = nil // deleted since it was read
	}
	kept.Lost = c.lost
	l, bytes, first := c.limits, int64(0), len(kept.Messages)
	for i, m := range slices.Backward(kept.Messages) {
		bytes += sizeOf(&m)
		count := len(kept.Messages) - i
		over := l.Messages > 0 && count > l.Messages || l.Bytes > 0 && bytes > l.Bytes && count > 1
		if over || m.ID.Seq <= c.lost || c.expiry(int64(m.CreatedAt)) <= now {
			kept.Lost = max(kept.Lost, m.ID.Seq)
			break
		}
		first = i
	}
	kept.Messages = kept.Messages[first:]
}

// channels calls fn with each channel of which something is kept, whose name begins
// with prefix and comes after the given one, in order, until fn returns false.
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

// Names implements [broker.Engine].
func (e *Engine) Names(ctx context.Context, prefix string, after schemas.Channel, limit int) (names []schemas.Channel, err error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	err = e.read(ctx, func(db pebble.Reader) error {
		return e.channels(ctx, db, prefix, after, func(c *meta) bool {
			names = append(names, c.name)
			return len(names) < limit
		})
	})
	return names, err
}

// Matching implements [broker.Engine]. Of too many channels, those with the newest
// messages are returned, the newest first. It reads what is known of every channel
// that pattern names: about a million of them a second.
func (e *Engine) Matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (found broker.Found, err error) {
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
			found.Lost, err = readLost(db, cellOf(string(pattern)))
		}
		return err
	})
	slices.SortFunc(newest, func(a, b aged) int { return cmp.Compare(b.last, a.last) })
	for _, c := range newest {
		found.Channels = append(found.Channels, c.name)
	}
	return found, err
}

// Delete implements [broker.Engine].
func (e *Engine) Delete(ctx context.Context, name schemas.Channel) (found bool, err error) {
	err = e.do(ctx, func(g *group) (err error) {
		found, err = g.clear(name)
		return err
	})
	if err != nil {
		return false, err
	}
	return e.sink.Drop(name) || found, nil
}
