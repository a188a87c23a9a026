package nats

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

const (
	maxInFlight   = 2       // batches of one batcher that are unanswered at the same time
	maxBatchItems = 64      // per batch; by default a server takes 500 messages
	maxBatchBytes = 1 << 20 // per batch, roughly
	minAnswerWait = 100 * time.Millisecond
)

// batcher stores items, each of which is a message and its record, perhaps after an event. A batch costs the
// server nearly the same however long it is, so items that arrive while maxInFlight
// batches are unanswered wait, and then go together.
//
// A batch is stored as a whole or not at all: one record whose condition fails fails
// every item of its batch. Nobody tells which one it was, so each of them looks up its
// own record and tries again. They do so in a batcher of their own: otherwise items
// that conflict would keep failing the new ones that share a batch with them.
//
// When the engine closes, batches that are under way are not answered any more, and
// their items may be stored.
type batcher struct {
	stream  *jetstream.Stream
	life    context.Context
	timeout time.Duration // how long a batch may stay unanswered
	running *sync.WaitGroup

	mu       sync.Mutex
	waiting  []*batchItem // guarded by mu
	inFlight int          // guarded by mu; goroutines that send batches
}

// batchItem is a message and its record, to be stored together.
type batchItem struct {
	messages []*natsio.Msg // the record is the last one
	size     int
	taken    atomic.Bool      // it is in a batch, or its caller has left
	done     chan batchResult // has room for one
}

func (i *batchItem) record() *natsio.Msg { return i.messages[len(i.messages)-1] }

// batchResult is the position of the record.
type batchResult struct {
	seq uint64
	err error
}

func (b *batcher) init(e *Engine) {
	b.stream, b.life, b.running = e.stream, e.life, &e.running
	b.timeout = e.opts.answerWait()
}

// answerWait is how long something that may be sent again stays unanswered before it is.
func (o Options) answerWait() time.Duration { return max(o.Timeout/4, minAnswerWait) }

// store stores messages that end with a record, and returns the record's position; the others
// have those before. After [jetstream.ErrNoAnswer] they may be stored; after
// any other error they are not.
func (b *batcher) store(ctx context.Context, messages ...*natsio.Msg) (uint64, error) {
	item := &batchItem{messages: messages, done: make(chan batchResult, 1)}
	for _, m := range messages {
		item.size += jetstream.Size(m)
	}
	b.mu.Lock()
	b.waiting = append(b.waiting, item)
	if b.inFlight < maxInFlight {
		b.inFlight++
		b.running.Go(b.send) // until nothing waits
	}
	b.mu.Unlock()
	select {
	case result := <-item.done:
		return result.seq, result.err
	case <-ctx.Done():
		if item.taken.Swap(true) {
			return 0, jetstream.ErrNoAnswer
		}
		return 0, ctx.Err()
	}
}

// send stores one batch after the other until nothing waits.
func (b *batcher) send() {
	for batch := b.next(); len(batch) > 0; batch = b.next() {
		messages := make([]*natsio.Msg, 0, 2*len(batch))
		for _, item := range batch {
			messages = append(messages, item.messages...)
		}
		ctx, cancel := context.WithTimeout(b.life, b.timeout)
		last, err := b.stream.Publish(ctx, messages...)
		cancel()
		for _, item := range slices.Backward(batch) {
			item.done <- batchResult{last, err}
			last -= uint64(len(item.messages))
		}
	}
}

// next takes the next batch out of what waits. No two items of a batch have records
// under the same subject: the condition of the second could not hold.
func (b *batcher) next() []*batchItem {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch, rest []*batchItem
	records := make(map[string]bool)
	size := 0
	for _, item := range b.waiting {
		switch {
		case len(batch) == maxBatchItems || size > maxBatchBytes || records[item.record().Subject]:
			rest = append(rest, item)
		case !item.taken.Swap(true):
			batch = append(batch, item)
			records[item.record().Subject] = true
			size += item.size
		}
	}
	if b.waiting = rest; len(batch) == 0 {
		b.inFlight--
	}
	return batch
}
