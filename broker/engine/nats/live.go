package nats

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

const (
	// maxArrivals is how many messages may wait for the loop. The connection drops
	// further ones and says so, and they are fetched.
	maxArrivals = 16 << 10
	// maxPaused is how many bytes of messages the loop sets aside while it is paused.
	maxPaused = 64 << 20
	// maxRepairs is how many channels fetch missing messages at the same time.
	maxRepairs = 16
)

// live delivers what is published to the channels that this node subscribes to.
//
// The stream republishes every message that it has stored, over core NATS, and this
// node subscribes to the subjects of its channels. That is cheap and fast, but nothing
// is sent twice: a republished message is lost if a buffer overflows or a connection
// breaks. So every message carries the position of the one before it in its channel,
// and the loop keeps for each channel, in its tail, up to where it has delivered:
//
//   - The message before is the last one delivered: deliver.
//   - The position is not above the last one delivered: it came twice, or through two
//     subscriptions. Skip it.
//   - The message before is above the last one delivered: something is missing. Hold
//     this message and all later ones of the channel, fetch what is missing, and go
//     on. Other channels do not wait. See repair.
//   - Nothing comes any more: the last message was lost, and nothing that arrives can
//     show it. That is left to the [reconciler].
//
// While messages may have been lost (a reconnect, an overflow, a new leader, a missing canary),
// the loop is paused: it sets aside everything that arrives until the reconciler has made up for it.
// What is fetched meanwhile is delivered as missed, since one channel's repair may end long
// before another's. Otherwise a stream of several channels would move past a message that
// is missing, and a reader that is sent to another node at that moment would never get it.
//
// One goroutine, the loop, owns all tails and makes every delivery, so a channel's
// order is the order of its calls. Everything else happens at the same time as the
// loop and reaches it through two queues: messages, from the goroutine that reads the
// connection, and commands, from goroutines that subscribe, repair or reconcile. The
// loop never waits for any of them, and makes no requests.
//
// When the engine stops, what waits for the loop is dropped. Readers resume elsewhere
// by their position, and load it from the stream.
type live struct {
	conn     *natsio.Conn
	stream   *jetstream.Stream
	names    subjects
	canary   string
	epoch    uint64
	sink     sink
	control  *control
	health   *health
	stats    *counters
	log      *slog.Logger
	life     context.Context
	arrivals chan *natsio.Msg
	commands chan func()

	// Owned by the loop.
	tails       map[schemas.Channel]*tail
	patterns    map[schemas.Pattern]*patternSub
	paused      []*natsio.Msg // arrived while messages may have been lost
	pausedBytes int           // of their data

	repairs  sync.WaitGroup
	repairer chan struct{} // has a place for each repair that runs
}

// patternSub is a subscription to a pattern that is not exact.
type patternSub struct {
	sub *natsio.Subscription
	// from is a position after which every message of the pattern's channels arrives
	// live or has a tail that knows of it. 0: the subscription has not reached the
	// stream yet.
	from uint64
}

func newLive(e *Engine) *live {
	return &live{
		conn: e.conn, stream: e.stream, names: e.names, canary: e.canary, epoch: e.epoch,
		sink: e.sink, control: e.control, health: e.health, stats: &e.stats, log: e.opts.Log, life: e.life,
		arrivals: make(chan *natsio.Msg, maxArrivals), commands: make(chan func()),
		tails: make(map[schemas.Channel]*tail), patterns: make(map[schemas.Pattern]*patternSub),
		repairer: make(chan struct{}, maxRepairs),
	}
}

// listen subscribes to what every node needs: its canary, marks and deletions, and elections of
// the stream's leader.
func (l *live) listen() error {
	for _, subject := range []string{l.names.liveOf(l.canary), l.names.liveOf(l.names.control + ">"), jetstream.LeaderElected + l.stream.Name()} {
		if _, err := l.conn.ChanSubscribe(subject, l.arrivals); err != nil {
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
		case m := <-l.arrivals:
			if len(l.arrivals) >= cap(l.arrivals)-1 { // it was full: what came then may have been dropped
				l.health.lossPossible()
			}
			l.receive(m)
		case command := <-l.commands:
			command()
		case <-l.life.Done():
			return
		}
	}
}

// do has the loop execute a command and returns when it has. Once the engine is closed
// it does nothing.
func (l *live) do(command func()) {
	done := make(chan struct{})
	select {
	case l.commands <- func() { command(); close(done) }:
		<-done
	case <-l.life.Done():
	}
}

// receive takes a message that came live, or sets it aside while messages may have been lost.
func (l *live) receive(m *natsio.Msg) {
	if strings.HasPrefix(m.Subject, jetstream.LeaderElected) {
		l.health.lossPossible() // the old leader may not have republished all that it stored
		return
	}
	subject := l.names.all + strings.TrimPrefix(m.Subject, l.names.live)
	if subject == l.canary {
		l.health.canaryBack()
	}
	if _, lost := l.health.lossesDue(); !lost {
		l.resume()
		l.arrive(subject, m)
		return
	}
	if len(l.paused) == maxArrivals || l.pausedBytes+len(m.Data) > maxPaused {
		l.paused, l.pausedBytes = nil, 0
		l.health.lossPossible() // as if they had never come
	}
	l.paused, l.pausedBytes = append(l.paused, m), l.pausedBytes+len(m.Data)
}

// resume takes what was set aside, unless messages may have been lost again.
func (l *live) resume() {
	if _, lost := l.health.lossesDue(); lost {
		return
	}
	paused := l.paused
	l.paused, l.pausedBytes = nil, 0
	for _, m := range paused {
		l.arrive(l.names.all+strings.TrimPrefix(m.Subject, l.names.live), m)
	}
}

// arrive takes a message that came live.
func (l *live) arrive(subject string, m *natsio.Msg) {
	switch {
	case m.Subject == subjectReached:
		if position, err := strconv.ParseUint(m.Reply, 10, 64); err == nil {
			l.sink.Reached(position)
		}
	case subject == l.canary:
		// It arrives behind everything that was stored before it.
		l.sink.Reached(jetstream.Position(m))
	case strings.HasPrefix(subject, l.names.control):
		l.control.reader.poke()
	default:
		name, ok := channelOf(l.names.messages, subject)
		if !ok {
			return // not one of ours
		}
		if t := l.tailOf(name); t != nil {
			l.take(name, t, arrival{jetstream.Position(m), jetstream.Previous(m), m.Header, m.Data})
		}
	}
}

// subjectReached is the subject of a message that this node sends to its own loop when
// everything up to a position has arrived.
const subjectReached = "reached"

// reached says that everything that has to be delivered up to a position has arrived.
func (l *live) reached(position uint64) {
	select {
	case l.arrivals <- &natsio.Msg{Subject: subjectReached, Reply: strconv.FormatUint(position, 10)}:
	default: // the canary will say so soon
	}
}

// deliver hands a message to the sink, unless its channel was deleted since.
func (l *live) deliver(name schemas.Channel, seq uint64, header natsio.Header, data []byte) {
	if seq <= l.control.deletedAt(name) {
		return
	}
	v, err := openEnvelope(header, data)
	if err != nil {
		l.log.Error("cannot read a stored message", slog.String("channel", string(name)), slog.Uint64("position", seq), slog.Any("error", err))
		return
	}
	m := v.message(schemas.ID{Epoch: l.epoch, Seq: seq}, name)
	if _, lost := l.health.lossesDue(); lost {
		l.sink.DeliverMissed(m, engine.Limits{})
		return
	}
	l.sink.Deliver(m, engine.Limits{})
}
