package enginetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// manyMessages is how many messages [QuietTopics] publishes after one that must be kept.
const manyMessages = 1000

// QuietTopics tests that the latest message of a topic is kept, however many messages of
// other topics follow, and that what is lost before and after it is said to be.
func QuietTopics(t *testing.T, stores ...Store) {
	t.Helper()
	q := &quiet{t: t, stores: stores, channel: "quiet"}
	q.add("busy", "1")
	first := q.add("status", `"started"`)
	q.many(manyMessages)
	q.keeps(first)
	others := []uint64{q.add("a", `"one"`), q.add("b", `"two"`), q.add("c", `"three"`)}
	for range 5 { // while more and more copies of the three are made, and fewer of them needed
		q.many(manyMessages / 20)
		q.keeps(append(others, first)...)
	}
	q.many(manyMessages)
	q.keeps(append(others, first)...)
	second := q.add("status", `"running"`)
	q.many(manyMessages)
	q.keeps(append(others, second)...)
	q.lacks(first)
	if _, err := stores[0].Delete(t.Context(), q.channel); err != nil {
		t.Fatal(err)
	}
	q.sent = nil
	q.many(manyMessages)
	q.keeps()
	q.lacks(append(others, second)...)
}

// quiet publishes to topics of one channel, through one store after the other.
type quiet struct {
	t       *testing.T
	stores  []Store
	channel schemas.Channel
	sent    []uint64 // positions
}

func (q *quiet) add(topic schemas.Topic, data string) uint64 {
	q.t.Helper()
	e := entry(q.channel, data, "")
	e.Topic, e.Limits.Messages = topic, KeptMessages
	seq := put(q.t, q.stores[len(q.sent)%len(q.stores)], e).ID.Seq
	q.sent = append(q.sent, seq)
	return seq
}

func (q *quiet) many(n int) {
	q.t.Helper()
	for i := range n {
		q.add("busy", fmt.Sprint(i))
	}
}

// keeps wants all stores to have the messages, the newest of all, and an honest account of
// what they lack.
func (q *quiet) keeps(want ...uint64) {
	q.t.Helper()
	for i := range q.stores {
		kept := q.load(i)
		for _, seq := range append(want, q.sent[len(q.sent)-1]) {
			if !slices.ContainsFunc(kept.Messages, func(m schemas.Message) bool { return m.ID.Seq == seq }) {
				q.t.Errorf("store %d does not have %d", i, seq)
			}
		}
		q.lost(i, kept)
	}
}

// lost wants a store to say that everything up to the newest message which it lacks may be
// lost, and nothing newer.
func (q *quiet) lost(i int, kept engine.Snapshot) {
	q.t.Helper()
	have := make(map[uint64]bool)
	for k, m := range kept.Messages {
		if have[m.ID.Seq] = true; k > 0 && m.ID.Seq <= kept.Messages[k-1].ID.Seq {
			q.t.Errorf("store %d has %d after %d", i, m.ID.Seq, kept.Messages[k-1].ID.Seq)
		}
	}
	for k, seq := range slices.Backward(q.sent) {
		if have[seq] {
			continue
		}
		if kept.Lost.Newest < seq || kept.Lost.Newest >= q.sent[k+1] {
			q.t.Errorf("store %d: lost up to %d, but %d is the last that is not there, before %d", i, kept.Lost.Newest, seq, q.sent[k+1])
		}
		return
	}
}

func (q *quiet) lacks(seqs ...uint64) {
	q.t.Helper()
	for i := range q.stores {
		for _, m := range q.load(i).Messages {
			if slices.Contains(seqs, m.ID.Seq) {
				q.t.Errorf("store %d still has %d", i, m.ID.Seq)
			}
		}
	}
}

func (q *quiet) load(i int) engine.Snapshot {
	q.t.Helper()
	kept, err := q.stores[i].Load(q.t.Context(), q.channel)
	if err != nil {
		q.t.Fatal(err)
	}
	return kept
}
