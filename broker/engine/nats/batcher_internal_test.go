package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

func item(record string, size int) *batchItem {
	return &batchItem{
		messages: []*natsio.Msg{jetstream.NewMsg("m", nil, 0), jetstream.NewMsg(record, nil, 0)}, size: size,
		done: make(chan batchResult, 1),
	}
}

func subjectsOfItems(items []*batchItem) (list []string) {
	for _, i := range items {
		list = append(list, i.record().Subject)
	}
	return list
}

// Two records under one subject go in different batches, in their order; whoever has
// left goes in none.
func TestBatcher_next(t *testing.T) {
	left := item("left", 1)
	left.taken.Store(true)
	b := &batcher{inFlight: 1, waiting: []*batchItem{item("a", 1), left, item("a", 1), item("b", 1)}}
	for _, want := range []string{"[a b]", "[a]", "[]"} {
		if got := fmt.Sprint(subjectsOfItems(b.next())); got != want {
			t.Errorf("batch %s, want %s", got, want)
		}
	}
	if b.inFlight != 0 || len(b.waiting) != 0 {
		t.Errorf("%d in flight, %d waiting", b.inFlight, len(b.waiting))
	}
}

func TestBatcher_next_limits(t *testing.T) {
	many := new(batcher)
	for i := range maxBatchItems + 1 {
		many.waiting = append(many.waiting, item(fmt.Sprint(i), 1))
	}
	long := &batcher{waiting: []*batchItem{item("a", maxBatchBytes), item("b", 1), item("c", 1)}}
	for _, tt := range []struct {
		name          string
		b             *batcher
		first, second int
	}{{"items", many, maxBatchItems, 1}, {"bytes", long, 2, 1}} {
		if first, second := len(tt.b.next()), len(tt.b.next()); first != tt.first || second != tt.second {
			t.Errorf("%s: batches of %d and %d, want %d and %d", tt.name, first, second, tt.first, tt.second)
		}
	}
}

// A caller that leaves before its item was sent knows that it is not stored; afterwards
// it does not know.
func TestBatcher_store_left(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	// No goroutine sends: all that may be in flight are.
	b := &batcher{inFlight: maxInFlight, running: new(sync.WaitGroup)}
	i := item("a", 1)
	if _, err := b.store(ended, i.messages...); !errors.Is(err, context.Canceled) {
		t.Errorf("not sent: %v", err)
	}
	if got := b.next(); len(got) != 0 {
		t.Errorf("sent all the same: %v", subjectsOfItems(got))
	}
}
