package nats

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/schemas"
)

// Subscriptions by name and by pattern come, go and fail at the same time, in whatever order
// their steps fall, and the reconciler compares them with the stream. As soon as one is settled,
// everything that is stored from then on is delivered, and a later message of another of its
// channels never before it: a stream that merges them could not go back.
func TestLive_subscribe_property(t *testing.T) {
	for seed := range uint64(3000) {
		if m := newSubscribeModel(t, seed); !m.run() {
			return
		}
	}
}

// subscribeModel is a stream, what has been sent of it and not yet taken, and subscriptions.
type subscribeModel struct {
	*testing.T
	seed      uint64
	random    *rand.Rand
	live      *live
	sink      *deliveries
	newest    uint64                     // position of the stream
	last      map[schemas.Channel]uint64 // where each channel ends
	channelAt map[uint64]schemas.Channel // by position
	subs      []*subscribing             // one for each pattern that is ever subscribed to
	arrivals  []func()                   // sent and not yet taken
	answers   []func()                   // of the stream, to the reconciler
	lookup    map[schemas.Pattern]uint64 // what the stream has answered to those that subscribe
}

// subscribing is a subscription on its way through the steps of subscribe.
type subscribing struct {
	pattern schemas.Pattern
	step    subscribeStep
	since   uint64 // everything stored after this position must be delivered
}

type subscribeStep int

const (
	absent subscribeStep = iota
	arriving
	answered
	settled
)

func newSubscribeModel(t *testing.T, seed uint64) *subscribeModel {
	t.Helper()
	m := &subscribeModel{
		T: t, seed: seed, random: rand.New(rand.NewPCG(seed, 2)), newest: 1, // a canary
		last: make(map[schemas.Channel]uint64), channelAt: make(map[uint64]schemas.Channel), lookup: make(map[schemas.Pattern]uint64),
	}
	m.live, m.sink = newTestLive(t)
	for _, pattern := range []schemas.Pattern{"a:1", "a:2", "b:1", "a:*", "*"} {
		m.subs = append(m.subs, &subscribing{pattern: pattern})
	}
	return m
}

// run reports whether everything was right.
func (m *subscribeModel) run() bool {
	for range 80 {
		switch sub := m.subs[m.random.IntN(len(m.subs))]; m.random.IntN(10) {
		case 0, 1:
			m.publish()
		case 2, 3, 4:
			next(&m.arrivals)
		case 5, 6:
			m.advance(sub)
		case 7:
			if m.random.IntN(2) == 0 {
				m.end(sub)
			}
		case 8:
			m.compare(sub)
		case 9:
			next(&m.answers)
		}
	}
	for _, sub := range m.subs {
		if sub.step > absent {
			m.advance(sub)
			m.advance(sub)
		}
	}
	m.publish()
	m.publish()
	for _, sub := range m.subs {
		m.end(sub)
	}
	return !m.Failed()
}

// next does the first one of a queue.
func next(queue *[]func()) {
	if q := *queue; len(q) > 0 {
		*queue = q[1:]
		q[0]()
	}
}

// publish stores a message, which is sent once for each subscription.
func (m *subscribeModel) publish() {
	name := []schemas.Channel{"a:1", "a:2", "b:1"}[m.random.IntN(3)]
	m.newest++
	a := arrival{seq: m.newest, before: m.last[name], data: body()}
	for _, sub := range m.subs {
		if sub.step > absent && sub.pattern.Matches(name) {
			m.arrivals = append(m.arrivals, func() {
				if t := m.live.tailOf(name); t != nil {
					m.live.take(name, t, a)
				}
			})
		}
	}
	m.last[name], m.channelAt[m.newest] = m.newest, name
}

// advance makes the next step of subscribe.
func (m *subscribeModel) advance(sub *subscribing) {
	if sub.step == settled {
		return
	}
	name, exact := sub.pattern.Exact()
	switch sub.step++; {
	case sub.step == arriving:
		m.live.begin(sub.pattern, new(natsio.Subscription))
	case sub.step == answered && exact:
		m.lookup[sub.pattern] = m.last[name]
	case sub.step == answered:
		m.lookup[sub.pattern] = m.newest
	case exact:
		m.live.settle(name, m.lookup[sub.pattern])
	default:
		m.live.settlePattern(sub.pattern, m.lookup[sub.pattern])
	}
	sub.since = m.newest
}

// compare has the reconciler ask where the channels of a subscription end.
func (m *subscribeModel) compare(sub *subscribing) {
	if sub.step != settled {
		return
	}
	upTo, ends := m.newest, maps.Clone(m.last)
	_, exact := sub.pattern.Exact()
	m.answers = append(m.answers, func() {
		for name, seq := range ends {
			if sub.pattern.Matches(name) {
				m.live.note(name, seq, firstRound)
			}
		}
		if !exact {
			m.live.advance(sub.pattern, upTo)
		}
	})
}

// end unsubscribes, and looks at what was delivered until then.
func (m *subscribeModel) end(sub *subscribing) {
	if sub.step == settled {
		for len(m.arrivals) > 0 {
			next(&m.arrivals)
		}
		expectSeqs(m, fmt.Sprintf("seed %d, %s", m.seed, sub.pattern), m.matching(sub, m.sink.seqs), m.matching(sub, m.stored()))
	}
	if sub.step > absent {
		m.live.unsubscribe(sub.pattern)
	}
	sub.step = absent
}

func (m *subscribeModel) stored() (all []uint64) {
	for seq := range m.newest {
		all = append(all, seq+1)
	}
	return all
}

// matching returns those of the positions at which there is something that sub must be sent.
func (m *subscribeModel) matching(sub *subscribing, seqs []uint64) (some []uint64) {
	for _, seq := range seqs {
		if name, ok := m.channelAt[seq]; ok && seq > sub.since && sub.pattern.Matches(name) {
			some = append(some, seq)
		}
	}
	return some
}
