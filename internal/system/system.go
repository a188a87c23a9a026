// Package system publishes what a node is doing to the channel $system, for operators and for
// the dashboard. The channel is the node's own: it is read from this node alone, nobody can
// publish to it, no engine stores it, and no figure counts it. It is made and sampled only
// while somebody reads it; before that it costs nothing.
//
// The package knows the broker. It does not know HTTP, nor who may read.
package system

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Channel is the name of the channel. Clients cannot use names that begin with $.
const Channel schemas.Channel = "$system"

// Topics of the channel.
const (
	TopicOverview schemas.Topic = "overview" // an [Overview], once a second
	TopicChannels schemas.Topic = "channels" // [Channels], every other second
)

const (
	interval   = time.Second
	nodesEvery = 2 * interval
	busiest    = 100 // how many channels [Channels] has
	maxStored  = 120 // messages: what was sampled in the last minute
)

// Options are what a System needs.
type Options struct {
	Broker *broker.Broker // whose figures are published
	Node   Node
	// Bus connects the node with others. Default: it is alone.
	Bus Bus
	// Requests returns figures about requests. Default: all 0.
	Requests func() Requests
	Log      *slog.Logger
}

// System is the channel $system of one node. All methods are safe for concurrent use.
type System struct {
	opts Options
	id   string // of this process
	deaf func() // stops listening to the bus

	mu       sync.Mutex
	own      *broker.Broker   // guarded by mu; has the one channel; nil until somebody reads it
	sampling bool             // guarded by mu; a goroutine samples
	closed   bool             // guarded by mu
	answered time.Time        // guarded by mu; when another node was last answered
	heard    map[string]heard // guarded by mu; nodes that have answered, by id

	stop chan struct{} // closed by Close
	wg   sync.WaitGroup
}

// New returns the channel of a node. The caller must close it before the broker.
func New(o Options) *System {
	if o.Requests == nil {
		o.Requests = func() Requests { return Requests{} }
	}
	s := &System{opts: o, id: newProcessID(), deaf: func() {}, heard: make(map[string]heard), stop: make(chan struct{})}
	s.listen()
	return s
}

// Subscribe opens a stream of the channel, which sub must name and nothing else. Errors:
// those of [broker.Broker.Subscribe].
func (s *System) Subscribe(ctx context.Context, sub broker.Subscription) (*broker.Stream, error) {
	own, err := s.open()
	if err != nil {
		return nil, err
	}
	stream, err := own.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	s.sample(own)
	return stream, nil
}

// open returns the broker that has the channel. It is one of its own, so that neither the
// limits nor the figures of the other have anything of it.
func (s *System) open() (*broker.Broker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, broker.ErrDraining
	}
	if s.own != nil {
		return s.own, nil
	}
	own, err := broker.New(broker.Options{
		Replay: engine.Limits{Messages: maxStored, Age: time.Minute}, MaxChannels: 1, MaxStreams: 100, Loops: -1, RememberBytes: 1 << 20, Log: s.opts.Log,
	})
	s.own = own
	return own, err
}

// sample makes sure that somebody samples.
func (s *System) sample(own *broker.Broker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sampling || s.closed {
		return
	}
	s.sampling = true
	s.wg.Go(func() { s.run(own) }) // ends with the last reader, or with Close
}

// run samples until nobody reads any more.
func (s *System) run(own *broker.Broker) {
	s.opts.Broker.Meter(true)
	sampler := sampler{opts: s.opts}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; s.isRead(own); n++ {
		s.publish(own, TopicOverview, sampler.overview())
		if n%2 == 1 {
			s.publish(own, TopicNodes, s.nodes(time.Now()))
		} else {
			s.ask()
		}
		if n%2 == 0 && n > 0 {
			s.publish(own, TopicChannels, Channels{Seconds: 2 * interval.Seconds(), Busiest: s.opts.Broker.Busiest(busiest)})
		}
		select {
		case <-tick.C:
		case <-s.stop:
		}
	}
}

// isRead reports whether the sampler goes on. If not, whoever reads next starts another one.
func (s *System) isRead(own *broker.Broker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sampling = !s.closed && own.Stats().Streams > 0
	if !s.sampling {
		s.opts.Broker.Meter(false)
	}
	return s.sampling
}

// publish publishes v as JSON. A sample that cannot be published is not worth a try later.
func (s *System) publish(own *broker.Broker, topic schemas.Topic, v any) {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = own.Publish(context.Background(), broker.Publication{Channel: Channel, Topic: topic, Data: data})
	}
	if err != nil {
		s.opts.Log.Warn("sample not published", slog.String("topic", string(topic)), slog.Any("error", err))
	}
}

// Disconnect ends the streams that f selects.
func (s *System) Disconnect(f broker.Filter, reason broker.CloseReason) {
	s.mu.Lock()
	own := s.own
	s.mu.Unlock()
	if own != nil {
		own.Disconnect(f, reason)
	}
}

// Drain refuses new streams and ends the open ones. It returns when the last one has left, or
// with the error of ctx.
func (s *System) Drain(ctx context.Context) error {
	s.mu.Lock()
	own := s.own
	s.closed = true
	s.mu.Unlock()
	if own == nil {
		return nil
	}
	return own.Drain(ctx, 0)
}

// Close ends all streams, and waits until nothing of the channel is left. It is idempotent.
func (s *System) Close() error {
	s.mu.Lock()
	own, first := s.own, true
	select {
	case <-s.stop:
		first = false
	default:
		close(s.stop)
	}
	s.closed = true
	s.mu.Unlock()
	if first {
		s.deaf()
	}
	s.wg.Wait()
	if own == nil || !first {
		return nil
	}
	return own.Close()
}
