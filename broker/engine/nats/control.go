package nats

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// markEvery is the time between two marks.
const markEvery = 10 * time.Second

// maxDeletions is how many deleted channels are remembered by name. Beyond that, the
// older ones count as a loss of every channel.
const maxDeletions = 1 << 16

// control knows what every node must know of the stream besides messages: marks and
// deletions. Both are records in the stream itself, so all nodes read them in the same
// order, relative to each other and to messages.
//
// A mark answers the question up to which position messages are older than a given
// age. The stream cannot say: a message that it has dropped leaves no trace, so a
// channel without messages may never have had any or may have lost a thousand. Every
// ten seconds one of the nodes stores a mark. Everything before a mark is at least as
// old as the mark. So if a channel keeps messages for ten minutes, take the newest mark
// older than that: everything before it may be lost by age, and nothing after it. Since
// messages are kept longer than promised (see slack), this holds even if clocks differ.
// While marks could not be stored, messages perhaps could: messages between two marks
// that are further apart than usual may be as old as the first of them.
//
// A deletion takes effect in three steps. Its record is stored; each node that reads
// the record hides what lies before it and ends the channel's streams; then the node
// that deletes removes the messages. If that node stops after the first step, the
// channel is deleted for everybody, and the messages stay hidden in the stream until
// they expire. The caller got ErrUncertain and may repeat the call.
type control struct {
	stream *jetstream.Stream
	names  subjects
	opts   Options
	sink   sink
	life   context.Context
	reader *follower

	mu        sync.Mutex
	marks     []mark                       // guarded by mu; oldest first
	deletions map[schemas.Channel]deletion // guarded by mu
	forgotten uint64                       // guarded by mu; deletions up to here are no longer known by name
	dropped   map[uint64]bool              // guarded by mu; what Sink.Drop said, by position, until the next mark
}

// mark is a position and when it was stored.
type mark struct {
	seq uint64
	at  time.Time
}

// deletion is the position of the record of a deletion, and when it was stored.
type deletion struct {
	seq uint64
	at  time.Time
}

func newControl(e *Engine) *control {
	c := &control{
		stream: e.stream, names: e.names, opts: e.opts, sink: e.sink, life: e.life,
		deletions: make(map[schemas.Channel]deletion), dropped: make(map[uint64]bool),
	}
	c.reader = newFollower(e.stream, e.names.control+">", c.apply)
	return c
}

// load reads all records, after setting a mark if one is due. A stream that stores
// nothing now can be read all the same.
func (c *control) load(ctx context.Context) error {
	if err := c.setMark(ctx); err != nil && !jetstream.IsRefusal(err) {
		return err
	}
	return c.reader.catchUp(ctx)
}

// run reads further records until the engine is closed.
func (c *control) run() { c.reader.run(c.life, c.opts.Log) }

// apply takes a record.
func (c *control) apply(record jetstream.Message) {
	if name, ok := channelOf(c.names.deletions, record.Subject); ok {
		c.mu.Lock()
		c.deletions[name] = deletion{record.Sequence, record.Time}
		c.mu.Unlock()
		known := c.sink.Drop(name)
		c.mu.Lock()
		c.dropped[record.Sequence] = known
		c.mu.Unlock()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = append(c.marks, mark{record.Sequence, record.Time})
	c.prune(record.Time)
}

// prune forgets what is too old to matter, except for the newest such mark. The caller
// holds mu.
func (c *control) prune(now time.Time) {
	old := 0
	for old+1 < len(c.marks) && now.Sub(c.marks[old+1].at) > c.opts.maxAge()+2*slack {
		old++
	}
	c.marks = slices.Delete(c.marks, 0, old)
	clear(c.dropped)
	maps.DeleteFunc(c.deletions, func(_ schemas.Channel, d deletion) bool { return now.Sub(d.at) > c.opts.maxAge()+slack })
	if len(c.deletions) <= maxDeletions {
		return
	}
	byAge := slices.SortedFunc(maps.Values(c.deletions), func(a, b deletion) int { return cmp.Compare(a.seq, b.seq) })
	c.forgotten = byAge[len(byAge)-maxDeletions/2-1].seq
	maps.DeleteFunc(c.deletions, func(_ schemas.Channel, d deletion) bool { return d.seq <= c.forgotten })
}

// lostBefore returns the position before which messages older than t may have been lost:
// that of the newest mark from before t, or of the mark after it if the two are so far
// apart that what lies between may be older than t, too. 0: there is no such mark.
func (c *control) lostBefore(t time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := slices.BinarySearchFunc(c.marks, t, func(m mark, t time.Time) int { return m.at.Compare(t) })
	switch {
	case i == 0:
		return 0
	case i < len(c.marks) && c.marks[i-1].at.Add(slack).Before(t):
		return c.marks[i].seq
	}
	return c.marks[i-1].seq
}

// deletedAt returns the position at which a channel was last deleted; 0: never.
func (c *control) deletedAt(name schemas.Channel) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deletions[name].seq
}

// lostByDeletion returns up to which position a channel may have lost messages by a
// deletion.
func (c *control) lostByDeletion(name schemas.Channel) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.deletions[name].seq, c.forgotten)
}

// lastDeletion returns the position of the newest deletion of a channel that pattern
// matches.
func (c *control) lastDeletion(pattern schemas.Pattern) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := c.forgotten
	for name, d := range c.deletions {
		if d.seq > newest && pattern.Matches(name) {
			newest = d.seq
		}
	}
	return newest
}

// keepMarking sets a mark if one is due.
func (c *control) keepMarking(now time.Time) {
	c.mu.Lock()
	due := len(c.marks) == 0 || markSlot(now) != markSlot(c.marks[len(c.marks)-1].at)
	c.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(c.life, 2*time.Second)
	defer cancel()
	if err := c.setMark(ctx); err != nil {
		c.opts.Log.Debug("cannot set a mark", slog.Any("error", err))
	}
}

// markSlot numbers the intervals of markEvery.
func markSlot(t time.Time) int64 { return t.Unix() / int64(markEvery/time.Second) }

// setMark sets the mark of the present interval unless another node has done so.
func (c *control) setMark(ctx context.Context) error {
	subject := c.names.marks + strconv.FormatInt(markSlot(time.Now()), 10)
	m := jetstream.NewMsg(subject, nil, c.opts.maxAge()+3*slack)
	jetstream.ExpectLast(m, 0)
	_, err := c.stream.Publish(ctx, m)
	if jetstream.IsConflict(err) {
		return nil
	}
	return err
}
