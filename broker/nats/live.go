package nats

import (
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"

	natsio "github.com/nats-io/nats.go"
)

const (
	// arrivals is how many messages may wait for the loop. What comes beyond is
	// dropped, which the connection tells, and fetched.
	arrivals = 16 << 10
	// maxHeld is how many messages of a channel wait for those before them. What comes
	// beyond is fetched.
	maxHeld = 256
)

// live delivers what is published to the channels that are followed. One goroutine,
// the loop, delivers everything, so that the order of a channel is that of its calls.
//
// Each message tells the position of the one before it in its channel. If that is not
// the last one that was delivered, some are missing: they are fetched, and the
// channel's later ones wait for them; see repair.go.
type live struct {
	*Engine
	arriving chan *natsio.Msg
	commands chan func()

	// Owned by the loop.
	tails     map[schemas.Channel]*tail
	interests map[schemas.Pattern]*interest // in patterns that are not exact

	repairs  sync.WaitGroup
	repairer chan struct{} // a place for each repair at once
}

// interest is a pattern that is followed.
type interest struct {
	sub *natsio.Subscription
	// from is a position after which nothing of the pattern's channels is unknown: what
	// has come or must come has a tail. 0: interest has not reached the stream yet.
	from uint64
}

// tail is the end of a channel, as it was delivered.
type tail struct {
	// sub is there if the channel is followed by its name.
	sub      *natsio.Subscription
	settled  bool   // last is known
	last     uint64 // the last position that was delivered, or before which nothing has to be
	target   uint64 // a later one is known to be there
	noted    uint64 // the round of the audit in which it was found
	fetching bool   // what is missing is on its way
	held     []arrival
}

// arrival is a message that came live.
type arrival struct {
	seq, before uint64 // its position, and that of the one before it
	data        []byte
}

func newLive(e *Engine) *live {
	return &live{
		Engine: e, arriving: make(chan *natsio.Msg, arrivals), commands: make(chan func()),
		tails: make(map[schemas.Channel]*tail), interests: make(map[schemas.Pattern]*interest),
		repairer: make(chan struct{}, 16),
	}
}

// listen subscribes to what each node needs: its canary, and word of deletions and
// marks.
func (l *live) listen() error {
	for _, subject := range []string{l.names.liveOf(l.canary()), l.names.liveOf(l.names.control + ">")} {
		if _, err := l.conn.ChanSubscribe(subject, l.arriving); err != nil {
			return err
		}
	}
	return nil
}

// run is the loop. It ends when the engine is closed.
func (l *live) run() {
	defer l.repairs.Wait()
	for {
		select {
		case m := <-l.arriving:
			l.arrive(m)
		case command := <-l.commands:
			command()
		case <-l.life.Done():
			return
		}
	}
}

// do lets the loop execute a command, unless the engine is closed.
func (l *live) do(command func()) {
	done := make(chan struct{})
	select {
	case l.commands <- func() { command(); close(done) }:
		<-done
	case <-l.life.Done():
	}
}

// arrive takes what came live.
func (l *live) arrive(m *natsio.Msg) {
	subject := l.names.all + strings.TrimPrefix(m.Subject, l.names.live)
	switch {
	case m.Subject == subjectReached:
		if position, err := strconv.ParseUint(m.Reply, 10, 64); err == nil {
			l.sink.Reached(position)
		}
	case subject == l.canary():
		// It comes behind everything that was stored before it.
		l.sink.Reached(headerUint(m, headerSeq))
		l.health.echo()
	case strings.HasPrefix(subject, l.names.control):
		l.control.reader.poke()
	default:
		name, ok := channelOf(l.names.messages, subject)
		if !ok {
			return // not ours
		}
		if t := l.tailOf(name); t != nil {
			l.take(name, t, arrival{headerUint(m, headerSeq), headerUint(m, headerLast), m.Data})
		}
	}
}

// tailOf returns the tail of a channel, which is made if a pattern names the channel;
// nil if the channel is not followed.
func (l *live) tailOf(name schemas.Channel) *tail {
	if t := l.tails[name]; t != nil {
		return t
	}
	from, named := l.named(name)
	if !named {
		return nil
	}
	t := &tail{last: from, settled: from > 0}
	l.tails[schemas.Channel(strings.Clone(string(name)))] = t
	return t
}

// named reports whether a pattern that is followed names the channel, and the position
// after which everything of the channel must be delivered: the lowest of those of the
// patterns; 0 if no interest has reached the stream.
func (l *live) named(name schemas.Channel) (from uint64, named bool) {
	for pattern, i := range l.interests {
		if !pattern.Matches(name) {
			continue
		}
		if named = true; i.from > 0 && (from == 0 || i.from < from) {
			from = i.from
		}
	}
	return from, named
}

// take delivers a message, or lets it wait for those before it.
func (l *live) take(name schemas.Channel, t *tail, a arrival) {
	switch {
	case !t.settled || t.fetching:
		l.hold(t, a)
	case a.seq <= t.last:
	case a.before > t.last:
		l.hold(t, a)
		t.target = max(t.target, a.before)
		l.repair(name, t, nil)
	default:
		l.deliver(name, a.seq, a.data)
		t.last = a.seq
	}
}

// hold keeps a message until those before it are there.
func (l *live) hold(t *tail, a arrival) {
	if len(t.held) < maxHeld {
		t.held = append(t.held, a)
		return
	}
	t.target = max(t.target, a.seq)
}

// release takes up again what was held. If more is missing still, that is fetched.
func (l *live) release(name schemas.Channel, t *tail) {
	held := t.held
	t.held = nil
	for _, a := range held {
		l.take(name, t, a)
	}
	if t.target > t.last && !t.fetching {
		l.repair(name, t, nil)
	}
}

func (l *live) deliver(name schemas.Channel, seq uint64, data []byte) {
	if seq <= l.control.deleted(name) {
		return
	}
	v, err := openEnvelope(data)
	if err != nil {
		l.opts.Log.Error("message that is not ours", slog.String("channel", string(name)), slog.Uint64("position", seq), slog.Any("error", err))
		return
	}
	l.sink.Deliver(v.message(l.idOf(seq), name), broker.Limits{})
}
