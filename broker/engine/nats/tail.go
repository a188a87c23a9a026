package nats

import (
	"strings"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/schemas"
)

// maxHeld is how many messages of a channel are held until those before them are
// there. Further ones are fetched.
const maxHeld = 256

// tail is the end of a channel, as far as it was delivered. Only the loop uses it.
type tail struct {
	sub     *natsio.Subscription // nil unless the channel is subscribed to by name
	settled bool                 // last is known
	last    uint64               // the last position delivered; everything up to it is done with
	target  uint64               // the stream is known to have a message at this position
	noted   uint64               // the reconciler's round that found target
	fetched <-chan struct{}      // closed when the repair that is under way has ended; nil: there is none
	held    []arrival
}

// fetching reports whether a repair is under way.
func (t *tail) fetching() bool { return t.fetched != nil }

// lacks reports whether something is known to be missing that no repair fetches yet.
func (t *tail) lacks() bool { return t.settled && !t.fetching() && t.target > t.last }

// arrival is a message that came live.
type arrival struct {
	seq, before uint64 // its position, and that of the message before it in its channel
	header      natsio.Header
	data        []byte
}

// tailOf returns the tail of a channel. If there is none, it makes one if a pattern
// matches the channel, and otherwise returns nil: nobody subscribes to it.
func (l *live) tailOf(name schemas.Channel) *tail {
	if t := l.tails[name]; t != nil {
		return t
	}
	from, matched := l.matched(name)
	if !matched {
		return nil
	}
	t := &tail{last: from, settled: from > 0}
	l.tails[schemas.Channel(strings.Clone(string(name)))] = t
	return t
}

// matched reports whether a pattern subscription matches the channel, and the position
// after which all messages of the channel must be delivered: the lowest from of those
// patterns, 0 if none of them has reached the stream.
func (l *live) matched(name schemas.Channel) (from uint64, matched bool) {
	for pattern, p := range l.patterns {
		if !pattern.Matches(name) {
			continue
		}
		if matched = true; p.from > 0 && (from == 0 || p.from < from) {
			from = p.from
		}
	}
	return from, matched
}

// take delivers a message, or holds it until those before it are there.
func (l *live) take(name schemas.Channel, t *tail, a arrival) {
	switch {
	case !t.settled || t.fetching():
		t.hold(a)
	case a.seq <= t.last:
	case a.before > t.last:
		t.hold(a)
		t.target = max(t.target, a.before)
		l.repair(name, t)
	default:
		l.deliver(name, a.seq, a.header, a.data)
		t.last = a.seq
	}
}

// hold keeps a message for release. If there are too many, it only notes that the
// message is there.
func (t *tail) hold(a arrival) {
	if len(t.held) < maxHeld {
		t.held = append(t.held, a)
		return
	}
	t.target = max(t.target, a.seq)
}

// release takes the held messages again. If something is still missing, a repair
// begins.
func (l *live) release(name schemas.Channel, t *tail) {
	held := t.held
	t.held = nil
	for _, a := range held {
		l.take(name, t, a)
	}
	if t.lacks() {
		l.repair(name, t)
	}
}

// settling reports whether a pattern that matches the channel is still being subscribed to.
func (l *live) settling(name schemas.Channel) bool {
	for pattern, p := range l.patterns {
		if p.from == 0 && pattern.Matches(name) {
			return true
		}
	}
	return false
}

// tidy removes a tail that nobody needs: no subscription matches the channel, or the
// tail says no more than the patterns do. A pattern that is still being subscribed to may
// turn out to begin before what the tail is done with.
func (l *live) tidy(name schemas.Channel, t *tail) {
	if t.sub != nil || l.settling(name) {
		return
	}
	from, matched := l.matched(name)
	if !matched || t.settled && !t.fetching() && t.last <= from && t.target <= t.last {
		delete(l.tails, name)
	}
}
