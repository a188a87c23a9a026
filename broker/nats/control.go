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

	"github.com/sluicehq/sluice/schemas"

	natsio "github.com/nats-io/nats.go"
)

// markEvery is the time between two marks.
const markEvery = 10 * time.Second

// maxDeletions is how many deleted channels are remembered by name. What is lost of
// further ones counts for every channel.
const maxDeletions = 1 << 16

// control is what every node must know of the stream beside messages: marks, which
// tell positions the time, and deletions. Both come in one order, as records in the
// stream itself.
//
// A mark says that what lies before it is not younger than it is. Nobody can tell the
// position of a message that is there no longer, but of the newest mark that is older
// than a channel's age everything before may be lost by it, and nothing after.
type control struct {
	*Engine
	reader *walker

	mu        sync.Mutex
	marks     []mark                       // guarded by mu; oldest first
	deletions map[schemas.Channel]deletion // guarded by mu
	forgotten uint64                       // guarded by mu; deletions up to here are not known by name
	dropped   map[uint64]bool              // guarded by mu; what Drop said of a deletion, for a few seconds
}

type mark struct {
	seq uint64
	at  time.Time
}

type deletion struct {
	seq uint64
	at  time.Time
}

func newControl(e *Engine) *control {
	c := &control{Engine: e, deletions: make(map[schemas.Channel]deletion), dropped: make(map[uint64]bool)}
	c.reader = newWalker(e.log, e.names.control+">", c.apply)
	return c
}

// load reads all that is there, and sets a mark if it is time to.
func (c *control) load(ctx context.Context) error {
	if err := c.setMark(ctx); err != nil {
		return err
	}
	return c.reader.catchUp(ctx)
}

// run goes on reading until the engine is closed.
func (c *control) run() { c.reader.run(c.life, c.opts.Log) }

// apply takes a record.
func (c *control) apply(s stored) {
	if name, ok := channelOf(c.names.deletions, s.subject); ok {
		c.mu.Lock()
		c.deletions[name] = deletion{s.seq, s.time}
		c.mu.Unlock()
		known := c.sink.Drop(name)
		c.mu.Lock()
		c.dropped[s.seq] = known
		c.mu.Unlock()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = append(c.marks, mark{s.seq, s.time})
	c.prune(s.time)
}

// prune forgets what is too old. The caller holds mu.
func (c *control) prune(now time.Time) {
	old := 0
	for old < len(c.marks) && now.Sub(c.marks[old].at) > c.opts.maxAge()+2*slack {
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

// before returns the position of the newest mark that was set before a time; 0 if there
// is none.
func (c *control) before(t time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := slices.BinarySearchFunc(c.marks, t, func(m mark, t time.Time) int { return m.at.Compare(t) })
	if i == 0 {
		return 0
	}
	return c.marks[i-1].seq
}

// deleted returns the position at which a channel was deleted last; 0: never.
func (c *control) deleted(name schemas.Channel) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deletions[name].seq
}

// lostOf returns up to which position a channel's messages may have been lost by its
// deletion.
func (c *control) lostOf(name schemas.Channel) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.deletions[name].seq, c.forgotten)
}

// deletedOf returns the newest deletion of a channel that pattern names.
func (c *control) deletedOf(pattern schemas.Pattern) uint64 {
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

// setMark sets the mark of this moment unless another node has.
func (c *control) setMark(ctx context.Context) error {
	slot := time.Now().Unix() / int64(markEvery/time.Second)
	_, err := c.log.publish(ctx, &natsio.Msg{
		Subject: c.names.marks + strconv.FormatInt(slot, 10),
		Header:  natsio.Header{headerTTL: {ttl(c.opts.maxAge() + 3*slack)}, headerExpected: {"0"}},
	})
	if code := codeOf(err); code == codeWrongSequence || code == codeBusySubject {
		return nil
	}
	return err
}

// keepMarking sets a mark when it is time to.
func (c *control) keepMarking(now time.Time) {
	c.mu.Lock()
	due := len(c.marks) == 0 || now.Unix()/int64(markEvery/time.Second) != c.marks[len(c.marks)-1].at.Unix()/int64(markEvery/time.Second)
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

// Delete implements [broker.Engine].
func (e *Engine) Delete(ctx context.Context, name schemas.Channel) (found bool, err error) {
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return false, err
	}
	defer cancel()
	found, err = e.control.delete(limited, name)
	return found, e.failed(ctx, err)
}

// delete stores the record of the deletion, which hides at once what lies before it,
// and then removes that.
func (c *control) delete(ctx context.Context, name schemas.Channel) (found bool, err error) {
	places := []string{subjectOf(c.names.messages, name), subjectOf(c.names.runs, name)}
	for _, place := range places {
		_, kept, err := c.log.last(ctx, place)
		if err != nil {
			return false, err
		}
		found = found || kept
	}
	position, err := c.log.publish(ctx, &natsio.Msg{
		Subject: subjectOf(c.names.deletions, name),
		Header:  natsio.Header{headerTTL: {ttl(c.opts.maxAge() + 2*slack)}, headerRollup: {"sub"}},
	})
	if err != nil {
		return false, err
	}
	for _, place := range places {
		if err := c.log.purge(ctx, place, position); err != nil {
			return false, err
		}
	}
	if err := c.reader.passes(ctx, position); err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return found || c.dropped[position], nil
}
