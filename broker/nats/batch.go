package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker"

	natsio "github.com/nats-io/nats.go"
)

const (
	flights    = 2       // batches of a lane that are on their way at once
	batchPairs = 64      // of one batch; a server takes 500 unless it is told otherwise
	batchBytes = 1 << 20 // about as many, of one batch
)

// lane stores pairs of a message and its record, each pair or nothing of it. Those that
// come while others are on their way wait, and go together: a batch costs the server
// nearly the same however long it is, with one replica even two writes to the disk.
//
// A record that cannot be stored fails all that are in its batch. They find out which
// of them it was, see [try.both], and go on in a lane of those that have.
type lane struct {
	engine *Engine

	mu      sync.Mutex
	waiting []*pair // guarded by mu
	flying  int     // guarded by mu; goroutines
}

// pair is a message and a record on their way.
type pair struct {
	message, record *natsio.Msg
	size            int
	left            atomic.Bool  // it has left the lane: by its flight, or since nobody waits
	done            chan outcome // has room for it
}

// outcome is the position of the record.
type outcome struct {
	seq uint64
	err error
}

// errUnanswered says that a batch may be stored.
var errUnanswered = errors.New("nats: no answer in time")

// store stores a pair, and returns the position of the record; the message has the one
// before. Errors: errUnanswered; all others say that nothing was stored.
func (l *lane) store(ctx context.Context, message, record *natsio.Msg) (uint64, error) {
	p := &pair{message: message, record: record, size: message.Size() + record.Size(), done: make(chan outcome, 1)}
	if most := l.engine.conn.MaxPayload(); int64(message.Size()) > most || int64(record.Size()) > most {
		return 0, verdict{fmt.Errorf("%w: the server takes messages of at most %d bytes", broker.ErrTooLarge, most)}
	}
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	if l.flying < flights {
		l.flying++
		l.engine.running.Go(l.fly) // until nothing waits
	}
	l.mu.Unlock()
	select {
	case o := <-p.done:
		return o.seq, o.err
	case <-ctx.Done():
		if p.left.Swap(true) {
			return 0, errUnanswered
		}
		return 0, ctx.Err()
	}
}

// fly stores what waits.
func (l *lane) fly() {
	for group := l.board(); len(group) > 0; group = l.board() {
		messages := make([]*natsio.Msg, 0, 2*len(group))
		for _, p := range group {
			messages = append(messages, p.message, p.record)
		}
		ctx, cancel := context.WithTimeout(l.engine.life, max(l.engine.opts.Timeout/4, 100*time.Millisecond))
		last, err := l.engine.log.publish(ctx, messages...)
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = errUnanswered
		}
		cancel()
		for i, p := range group {
			p.done <- outcome{last - uint64(2*(len(group)-1-i)), err}
		}
	}
}

// board takes the next pairs out of the lane. No two have the same record: the second
// one would have to know of the first.
func (l *lane) board() []*pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	var group, rest []*pair
	records := make(map[string]bool)
	size := 0
	for _, p := range l.waiting {
		switch {
		case len(group) == batchPairs || size > batchBytes || records[p.record.Subject]:
			rest = append(rest, p)
		case !p.left.Swap(true):
			group = append(group, p)
			records[p.record.Subject] = true
			size += p.size
		}
	}
	if l.waiting = rest; len(group) == 0 {
		l.flying--
	}
	return group
}
