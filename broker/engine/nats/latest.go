package nats

import (
	"cmp"
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// maxWatched is how many channels and topics one generation of [latest] has.
const maxWatched = 1 << 15

// latest keeps the latest message of each topic when the stream pushes it out.
//
// The stream keeps the newest [Options.perSubject] messages of each channel. A topic to
// which nothing is published would lose its latest message to the other topics. So before
// that is pushed out, a node copies it into the channel's record under another subject, see
// [latestRecord], and [Engine.Load] puts what is in the record before what the stream has.
//
// Each node answers for the topics that it publishes to. It knows the position of the latest
// message of each, and counts what was published to the channel since. When it has
// published an eighth of what the stream keeps, it takes a look, in the append that makes it
// so: the topics with as many messages after their latest one are quiet, and those go into
// the record. That takes requests only if there are any. So with three nodes that publish
// equally much, a message is in the record when at most three quarters of what the stream
// keeps have come after it, and with one node when a quarter has.
//
// Publishers may also use different nodes for different topics. So a node that takes a look
// tells the others how much it has published, in a message that is not stored; a node that
// has a quiet topic by this takes a look at once. The former does not wait for that. It
// would have to publish about 200 messages meanwhile to push out what the latter copies.
//
// A node that has ended answers for nothing. So whoever starts or ends says so, and at its
// next look at each channel every node reads all that the stream has of it, and answers for
// that, too. It does the same at its first look, and when it may have missed what others
// said. Such a read is expensive, since the server looks at whatever lies between the
// messages of the channel; there is no other way to know what others have published. If a
// node is killed and none is started, the latest messages of topics that it alone has just
// published may be pushed out.
//
// What a node knows may be forgotten at any time: a look at a channel that is not known is
// a first one. Channels that have pieces are left to the [archive] while it watches them.
type latest struct {
	e    *Engine
	node uint64 // random

	mu     sync.Mutex
	recent map[schemas.Channel]*watched // guarded by mu
	older  map[schemas.Channel]*watched // guarded by mu; those of the generation before
	room   int                          // guarded by mu; for how many more channels and topics recent has room
	doubts uint64                       // guarded by mu; how often there was something to be read
}

// watched is a channel that this node publishes to. All but its turn is guarded by latest.mu.
type watched struct {
	name schemas.Channel
	turn chan struct{} // has room for the one who looks; others wait for its requests

	limits engine.Limits // of the newest entry
	count  int           // messages that this node has published since its last look
	number uint64        // messages that it and others have
	read   uint64        // what latest.doubts was when the channel was last read, plus one; 0: never
	ends   []topicEnd    // of different topics, oldest first
	counts int           // how many of them latest.room knows of
}

// topicEnd is the latest message of a topic, as far as a node knows.
type topicEnd struct {
	topic  schemas.Topic
	seq    uint64
	number uint64 // what watched.number was then
	done   bool   // it is in the record, cannot be, or need not be
}

func newLatest(e *Engine) *latest {
	return &latest{e: e, node: rand.Uint64(), recent: make(map[schemas.Channel]*watched), room: maxWatched}
}

// due is how many messages a node publishes between two looks, and how many come after the
// latest one of a quiet topic.
func (l *latest) due() int { return max(1, int(l.e.perSubject())/8) }

// appended notes that an entry was stored, and takes a look if it is time.
func (l *latest) appended(ctx context.Context, entry *engine.Entry, seq uint64) {
	l.mu.Lock()
	w := l.watch(entry.Channel)
	w.limits = entry.Limits
	w.note(&entry.Message, seq)
	w.count++
	due := w.count >= l.due()
	l.mu.Unlock()
	if due {
		limited, cancel := context.WithTimeout(ctx, archiveWait)
		defer cancel()
		l.take(limited, w)
	}
}

// watch returns what is known of a channel. When that is too much, what has not been of use
// for a generation is forgotten. The caller holds mu.
func (l *latest) watch(name schemas.Channel) *watched {
	if w := l.recent[name]; w != nil {
		return w
	}
	w := l.older[name]
	if w == nil {
		w = &watched{name: name, turn: make(chan struct{}, 1)}
	}
	if l.room -= 1 + w.counts; l.room < 0 {
		l.older, l.recent, l.room = l.recent, make(map[schemas.Channel]*watched), maxWatched
	}
	l.recent[name] = w
	return w
}

// note takes a message of the channel. Run messages are kept elsewhere, and pieces by the
// archive.
func (w *watched) note(m *schemas.Message, seq uint64) {
	w.number++
	if m.Kind == schemas.KindRun {
		return
	}
	for i := len(w.ends) - 1; i >= 0; i-- {
		if w.ends[i].topic != m.Topic {
			continue
		}
		if w.ends[i].seq >= seq {
			return
		}
		w.ends = slices.Delete(w.ends, i, i+1)
		break
	}
	w.ends = append(w.ends, topicEnd{m.Topic, seq, w.number, m.Piece() || w.limits.Merge.Of(m.Topic) != nil})
}

// take takes a look if this node has published enough, and nobody else has looked
// meanwhile. If that fails, the next but few appends try again.
func (l *latest) take(ctx context.Context, w *watched) {
	if !w.enter(ctx) {
		return
	}
	defer w.leave()
	l.mu.Lock()
	counted, doubts, known := w.count, l.doubts+1, w.read == l.doubts+1
	if counted < l.due() {
		l.mu.Unlock()
		return
	}
	w.count = 0
	l.mu.Unlock()
	l.tell(w.name, counted)
	var err error
	if !known {
		err = l.read(ctx, w, doubts)
	}
	if err == nil {
		err = l.keep(ctx, w)
	}
	if err != nil {
		l.mu.Lock()
		w.count += l.due() * 3 / 4
		l.mu.Unlock()
		l.failed(w, err)
	}
}

// enter waits for its turn, and reports whether that came before ctx ended.
func (w *watched) enter(ctx context.Context) bool {
	select {
	case w.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *watched) leave() { <-w.turn }

func (l *latest) failed(w *watched, err error) {
	l.e.opts.Log.Debug("cannot keep the latest messages of quiet topics yet", slog.String("channel", string(w.name)), slog.Any("error", err))
}

// keep stores the latest messages of the topics that are quiet and are in no record yet. The
// caller has the turn.
func (l *latest) keep(ctx context.Context, w *watched) error {
	quiet := l.quiet(w)
	if len(quiet) == 0 {
		return nil
	}
	err := jetstream.Retry(ctx, 0, jetstream.IsConflict, func(ctx context.Context) error { return l.store(ctx, w, quiet) })
	if err == nil {
		l.settle(w, quiet)
	}
	return err
}

// read finds the latest messages of all topics.
func (l *latest) read(ctx context.Context, w *watched, doubts uint64) error {
	messages, _, err := l.e.newer(ctx, w.name, l.e.control.deletedAt(w.name))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own := w.ends
	w.ends, w.read = nil, doubts
	for i := range messages {
		w.note(&messages[i], messages[i].ID.Seq)
	}
	for _, end := range own {
		w.merge(end)
	}
	slices.SortFunc(w.ends, func(a, b topicEnd) int { return cmp.Compare(a.seq, b.seq) })
	return nil
}

// merge takes an end that was known before the channel was read.
func (w *watched) merge(end topicEnd) {
	i := slices.IndexFunc(w.ends, func(e topicEnd) bool { return e.topic == end.topic })
	switch {
	case i < 0: // the stream has pushed it out
		w.ends = append(w.ends, end)
	case end.seq > w.ends[i].seq: // published meanwhile
		end.number = w.number
		w.ends[i] = end
	case end.seq == w.ends[i].seq:
		w.ends[i].done = w.ends[i].done || end.done
	}
}

// quiet returns the ends that should be in the record, and forgets those that are deleted,
// or that the stream has pushed out since they were put there.
func (l *latest) quiet(w *watched) (quiet []topicEnd) {
	deleted, perSubject := l.e.control.deletedAt(w.name), uint64(l.e.perSubject())
	l.mu.Lock()
	defer l.mu.Unlock()
	w.ends = slices.DeleteFunc(w.ends, func(end topicEnd) bool {
		return end.seq <= deleted || end.done && w.number-end.number >= perSubject
	})
	for _, end := range w.ends {
		if !end.done && w.isQuiet(end, l.due()) {
			quiet = append(quiet, end)
		}
	}
	return quiet
}

// isQuiet reports whether that many messages have come after the latest one of a topic.
func (w *watched) isQuiet(end topicEnd, after int) bool { return w.number-end.number >= uint64(after) }

// settle notes that nothing remains to be done about some ends.
func (l *latest) settle(w *watched, quiet []topicEnd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room -= len(w.ends) - w.counts
	w.counts = len(w.ends)
	for i := range w.ends {
		end := &w.ends[i]
		end.done = end.done || slices.ContainsFunc(quiet, func(q topicEnd) bool { return q.seq == end.seq })
	}
}

// listen hears what other nodes say, until the connection is closed, and greets them.
func (l *latest) listen() error {
	_, err := l.e.conn.Subscribe(l.e.names.published, l.hear)
	l.tell("", 0)
	return err
}

// close takes leave of the other nodes.
func (l *latest) close() { l.tell("", 0) }

// tell tells other nodes that this one has published so many messages to a channel; none:
// that it has started, or ends. If they cannot be told, the connection is lost, and they
// are told of that.
func (l *latest) tell(name schemas.Channel, count int) {
	b := binary.LittleEndian.AppendUint64(nil, l.node)
	b = binary.AppendUvarint(b, uint64(count))
	_ = l.e.conn.Publish(l.e.names.published, append(b, name...))
}

// hear takes what another node has told.
func (l *latest) hear(m *natsio.Msg) {
	if len(m.Data) < 9 || binary.LittleEndian.Uint64(m.Data) == l.node {
		return
	}
	count, n := binary.Uvarint(m.Data[8:])
	if n <= 0 {
		return
	}
	name := schemas.Channel(m.Data[8+n:])
	if name == "" {
		l.doubt()
		return
	}
	l.mu.Lock()
	w := cmp.Or(l.recent[name], l.older[name])
	due := false
	if w != nil {
		w.number += count
		due = slices.ContainsFunc(w.ends, func(end topicEnd) bool { return !end.done && w.isQuiet(end, l.due()) })
	}
	l.mu.Unlock()
	if due {
		l.keepSoon(w)
	}
}

// keepSoon keeps what another node makes quiet.
func (l *latest) keepSoon(w *watched) {
	ctx, cancel := context.WithTimeout(l.e.life, archiveWait)
	defer cancel()
	if !w.enter(ctx) {
		return
	}
	defer w.leave()
	if err := l.keep(ctx, w); err != nil {
		l.failed(w, err)
	}
}

// doubt has the next look at each channel read it: somebody else may have published what
// nobody answers for any more.
func (l *latest) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubts++
}
