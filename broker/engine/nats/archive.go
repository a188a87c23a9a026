package nats

import (
	"context"
	"log/slog"
	"sync"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

const (
	minPerSubject = 256             // messages that the stream keeps of every subject, at least
	archiveWait   = 3 * time.Second // how long a publisher may wait for the archive
	archiveEvery  = 5 * time.Second // how often channels are looked at to which nothing is published
	archiveLate   = 6               // after so many looks, even if something is
	maxBlock      = 256 << 10       // bytes of a block, roughly
	mergedBlocks  = 16              // all blocks of a channel together are no longer than that many of them
)

// archive keeps the pieces of texts, and of messages that are held as one, beyond what the
// stream keeps of a channel.
//
// The stream keeps the newest [Options.perSubject] messages of each channel, and a piece is
// a message to it. A text of a thousand pieces would push out its own beginning, and all
// else that the channel has. The pieces cannot go to a subject of their own: a message
// names the one before it under its subject, and by that alone does live delivery notice
// what it has missed, in the right order (see [live]). So nothing changes in how messages
// are stored and delivered. Instead, before the pieces of a channel are pushed out, a node
// copies all that the channel has into a block: one record under another subject, of which
// the stream keeps as many. [Engine.Load] reads the blocks, and after them what came later.
//
// The node that appends sees to it. It counts what it has published to a channel since
// the last block; when that is a quarter of what the stream keeps, the append that makes it
// so also stores the next block before it returns. Three nodes may thus publish pieces to
// one channel at the same time, and others anything. A block begins where the last one
// ends, and it has a condition, that no other block came in between; so blocks follow each
// other without holes, however many nodes make them. The first piece of a node to a
// channel looks at once how much the channel already has. When pieces cease to come, what
// is left over is copied within ten seconds, see [archive.sweep].
//
// A node that dies may leave pieces that are in no block. They are still in the channel,
// and the next block of any node takes them, unless they were pushed out before. A block
// that cannot be sure of what lies between it and the last one says so, and Load reports
// those messages as lost. Nothing else is lost if a block cannot be stored: the next
// append tries again.
//
// Blocks are small, so there soon are many. When there are a quarter of what the stream
// keeps, the next one replaces all of them, in one atomic batch. It is then that the oldest
// messages go if all together are too long.
//
// Channels to which no pieces are published have no blocks, and cost nothing.
type archive struct {
	e *Engine

	mu       sync.Mutex
	channels map[schemas.Channel]*unarchived // guarded by mu; those with pieces that may be in no block
}

// unarchived is a channel that has messages which may be in no block.
type unarchived struct {
	name schemas.Channel
	turn chan struct{} // has room for the one who makes blocks; others wait for its requests

	count int           // guarded by archive.mu; messages since the last block, as far as they are known
	seen  int           // guarded by archive.mu; what count was at the last look
	looks int           // guarded by archive.mu; since the last block
	keep  time.Duration // guarded by archive.mu; for how long a block is kept

	// Owned by who has the turn.
	known  bool   // the following are
	last   uint64 // position of the last block; 0: none
	to     uint64 // up to where blocks have the channel
	blocks uint64 // how many there are
}

func newArchive(e *Engine) *archive {
	return &archive{e: e, channels: make(map[schemas.Channel]*unarchived)}
}

// isPiece reports whether an entry is one of many that are held as one message.
func isPiece(entry *engine.Entry) bool {
	return entry.Piece() || entry.Kind == schemas.KindData && entry.Limits.Merge.Of(entry.Topic) != nil
}

// due is how many messages go into a block.
func (a *archive) due() int { return max(1, int(a.e.perSubject())/4) }

// appended notes that an entry was stored, and makes a block if it is time. It reports
// whether its channel has pieces that may be in no block.
func (a *archive) appended(ctx context.Context, entry *engine.Entry) bool {
	a.mu.Lock()
	u := a.channels[entry.Channel]
	if u == nil {
		if !isPiece(entry) {
			a.mu.Unlock()
			return false
		}
		u = &unarchived{name: entry.Channel, turn: make(chan struct{}, 1), count: a.due()}
		a.channels[entry.Channel] = u
	}
	u.count++
	u.keep = max(u.keep, a.e.opts.blockAge(entry.Limits))
	due := u.count >= a.due()
	a.mu.Unlock()
	if due {
		limited, cancel := context.WithTimeout(ctx, archiveWait)
		defer cancel()
		a.copy(limited, u, a.due())
	}
	return true
}

// blockAge returns how long a block is kept: longer than messages, since a text may begin
// long before its newest piece, but not longer than its deletion is remembered.
func (o Options) blockAge(limits engine.Limits) time.Duration {
	return min(2*max(o.ageOf(limits), o.Retain.Age), o.maxAge()) + slack
}

// copy makes blocks of what is in none, if that is at least so many messages. It reports
// whether nothing is left to do.
func (a *archive) copy(ctx context.Context, u *unarchived, least int) bool {
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return false
	}
	a.mu.Lock()
	counted, keep := u.count, u.keep
	if counted < least { // somebody else was faster
		a.mu.Unlock()
		return false
	}
	u.count = 0
	a.mu.Unlock()
	var left int
	err := jetstream.Retry(ctx, 0, jetstream.IsConflict, func(ctx context.Context) (err error) {
		left, err = a.store(ctx, u, least, keep)
		u.known = err == nil
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		u.count += counted
		a.e.opts.Log.Debug("cannot archive a channel yet", slog.String("channel", string(u.name)), slog.Any("error", err))
		return false
	}
	if u.count += left; left == 0 {
		u.looks = 0
	}
	return left == 0
}

// store makes blocks of what came after the last one, and returns how many messages it
// left, because they are fewer than least.
func (a *archive) store(ctx context.Context, u *unarchived, least int, keep time.Duration) (left int, err error) {
	if !u.known {
		if err := a.find(ctx, u); err != nil {
			return 0, err
		}
	}
	from := max(u.to, a.e.control.deletedAt(u.name))
	messages, lost, err := a.e.newer(ctx, u.name, from)
	if err != nil || len(messages) < least {
		return len(messages), err
	}
	merge := u.blocks >= a.mostBlocks()
	if merge {
		if messages, lost, err = a.merged(ctx, u, messages, lost, keep); err != nil {
			return 0, err
		}
		u.blocks, from = 0, messages[0].ID.Seq-1
	}
	records := a.records(u, messages, from, lost, keep)
	if len(records) == 0 {
		return 0, nil
	}
	jetstream.ExpectLast(records[0], u.last)
	if merge {
		jetstream.Replace(records[0])
	}
	u.last, err = a.e.stream.Publish(ctx, records...)
	return 0, err
}

// records returns blocks with the messages, as they are stored after those that u knows of.
func (a *archive) records(u *unarchived, messages []schemas.Message, from, lost uint64, keep time.Duration) (list []*natsio.Msg) {
	for len(messages) > 0 {
		n := messagesIn(messages, a.blockBytes())
		b := block{number: u.blocks, from: from, to: messages[n-1].ID.Seq, lost: lost, messages: messages[:n]}
		messages = messages[n:]
		record := jetstream.NewMsg(a.e.names.archive(u.name), b.encode(), keep)
		if a.e.fits(record) != nil { // one message, which leaves no room for what the block adds
			lost = b.to
			continue
		}
		list = append(list, record)
		u.to, u.blocks = b.to, u.blocks+1
		from, lost = b.to, 0
	}
	return list
}

// messagesIn returns how many messages go into a block of that many bytes: one or more.
func messagesIn(messages []schemas.Message, bytes int) int {
	for i := range messages {
		if bytes -= bytesIn(messages, i); bytes < 0 && i > 0 {
			return i
		}
	}
	return len(messages)
}

// bytesIn returns how long a message is in a block, roughly.
func bytesIn(messages []schemas.Message, i int) int {
	m := &messages[i]
	n := len(m.Data) + 24
	if i == 0 || headOf(m) != headOf(&messages[i-1]) {
		n += len(m.Topic) + len(m.RunID) + len(m.StreamID) + len(m.Sub) + len(m.Traceparent)
	}
	return n
}

// blockBytes is how long a block may be, roughly.
func (a *archive) blockBytes() int { return min(maxBlock, int(a.e.conn.MaxPayload())/2) }

// find finds the last block.
func (a *archive) find(ctx context.Context, u *unarchived) error {
	u.last, u.to, u.blocks = 0, 0, 0
	record, found, err := a.e.stream.Last(ctx, a.e.names.archive(u.name))
	if err != nil || !found {
		return err
	}
	b, err := openBlock(record.Data, a.e.epoch, u.name)
	u.last, u.to, u.blocks = record.Sequence, b.to, b.number+1
	return err
}

// mostBlocks is how many blocks a channel has before they are merged.
func (a *archive) mostBlocks() uint64 { return max(1, uint64(a.e.perSubject())/4) }

// merged returns what all blocks have, and the newer messages after them: but not what is
// older than a block is kept, nor more than goes into mergedBlocks.
func (a *archive) merged(ctx context.Context, u *unarchived, newer []schemas.Message, pushedOut uint64, keep time.Duration) (messages []schemas.Message, lost uint64, err error) {
	old, err := a.e.archived(ctx, u.name, a.e.control.deletedAt(u.name))
	if err != nil {
		return nil, 0, err
	}
	messages, lost = append(old.messages, newer...), max(old.lost, pushedOut)
	oldest, room := time.Now().Add(-keep), mergedBlocks*a.blockBytes()
	first := len(messages) - 1
	for room -= bytesIn(messages, first); first > 0; first-- {
		if room -= bytesIn(messages, first-1); room < 0 || messages[first-1].CreatedAt.Std().Before(oldest) {
			lost = max(lost, messages[first-1].ID.Seq)
			break
		}
	}
	return messages[first:], lost, nil
}

// run makes blocks of what is left over, until the engine is closed.
func (a *archive) run() {
	tick := time.NewTicker(archiveEvery)
	defer tick.Stop()
	for {
		select {
		case <-a.e.life.Done():
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(a.e.life, archiveEvery)
			a.sweep(ctx, false)
			cancel()
		}
	}
}

// sweep makes blocks for the channels to which nothing was published since it last looked
// and, if all is set, for all others, too. It forgets those of which nothing is left over.
func (a *archive) sweep(ctx context.Context, all bool) {
	for _, u := range a.idle(all) {
		if ctx.Err() != nil || a.e.usable() != nil {
			return
		}
		if !a.copy(ctx, u, 1) {
			continue
		}
		a.mu.Lock()
		if u.count == 0 {
			delete(a.channels, u.name)
		}
		a.mu.Unlock()
	}
}

// close makes blocks of all that is left over, if that is soon done.
func (a *archive) close() {
	ctx, cancel := context.WithTimeout(a.e.life, archiveWait)
	defer cancel()
	a.sweep(ctx, true)
}

// idle returns the channels that a sweep looks after.
func (a *archive) idle(all bool) (list []*unarchived) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, u := range a.channels {
		u.looks++
		switch {
		case u.count == 0 && u.seen == 0:
			delete(a.channels, name)
		case u.count > 0 && (all || u.count == u.seen || u.looks > archiveLate):
			list = append(list, u)
		}
		u.seen = u.count
	}
	return list
}

// archived is what the blocks of a channel hold.
type archived struct {
	found    bool
	messages []schemas.Message
	to       uint64 // up to where they have the channel
	lost     uint64 // up to where something is missing; 0: nothing
}

// archived reads the blocks of a channel, as far as they lie after the position.
func (e *Engine) archived(ctx context.Context, name schemas.Channel, after uint64) (a archived, err error) {
	subject := e.names.archive(name)
	newest, found, err := e.stream.Last(ctx, subject)
	if err != nil || !found || newest.Sequence <= after {
		return a, err
	}
	var bad error
	blocks := 0
	err = e.stream.WalkTo(ctx, subject, after+1, newest.Sequence, func(m jetstream.Message) {
		b, err := openBlock(m.Data, e.epoch, name)
		if err != nil {
			bad = err
			return
		}
		if blocks++; blocks > 1 && b.from != a.to {
			a.lost = max(a.lost, b.from)
		}
		a.lost, a.to, a.found = max(a.lost, b.lost), b.to, true
		for _, m := range b.messages {
			if m.ID.Seq > after {
				a.messages = append(a.messages, m)
			}
		}
	})
	if int64(blocks) >= e.perSubject() && len(a.messages) > 0 {
		a.lost = max(a.lost, a.messages[0].ID.Seq-1)
	}
	if bad != nil {
		return a, bad
	}
	return a, err
}

// newer returns the messages of a channel after a position that its subject has, and up
// to where others may have been pushed out; 0: none. Messages that come meanwhile push
// others out, so they are read, too: otherwise there would seem to be room for more.
func (e *Engine) newer(ctx context.Context, name schemas.Channel, after uint64) (messages []schemas.Message, lost uint64, err error) {
	subject := subjectOf(e.names.messages, name)
	newest, found, err := e.stream.Last(ctx, subject)
	if err != nil || !found || newest.Sequence <= after {
		return nil, 0, err
	}
	messages, err = e.messages(ctx, name, subject, after+1, newest.Sequence)
	if int64(len(messages)) >= e.perSubject() {
		lost = messages[0].ID.Seq - 1
	}
	return messages, lost, err
}

// perSubject returns how many messages the stream keeps of every subject. Another node may
// have been started with a lower number.
func (e *Engine) perSubject() int64 {
	if now := e.health.perSubject.Load(); now > 0 {
		return min(now, e.opts.perSubject())
	}
	return e.opts.perSubject()
}

func (o Options) perSubject() int64 { return int64(max(o.Retain.Messages, minPerSubject)) }
