package run

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/peers"
	"github.com/sluicehq/sluice/bench/report"
)

const (
	settle     = 300 * time.Millisecond // after opening: what a server does behind its answer
	drainLimit = 10 * time.Second
	idleRest   = 5 * time.Second
	growthRest = time.Second
)

// trial is one server that is measured once.
type trial struct {
	runner *Runner
	peer   peers.Peer
	plan   plan
	server *process
	client *load.Client
	before memory   // of the server, before the first stream
	nats   *process // that keeps the texts; nil without it
}

// run starts the server, measures and stops it.
func (t *trial) run(ctx context.Context) (samples []report.Sample, err error) {
	streams := t.plan.readers
	if n := len(t.plan.sizes); n > 0 {
		streams = t.plan.sizes[n-1]
	}
	if err := room(streams); err != nil {
		return nil, err
	}
	flags := t.plan.flags
	if ofSluice(t.peer) {
		flags = append(flags[:len(flags):len(flags)], t.runner.options.SluiceFlags...)
	}
	if t.plan.kind == textCost {
		stop, more, err := t.keepTexts()
		if err != nil {
			return nil, err
		}
		defer stop()
		flags = append(flags[:len(flags):len(flags)], more...)
	}
	if t.plan.kind == storm {
		streams *= 2 // the old ones may not be gone when the new ones come
	}
	// Room to spare: nginx gives connections up when a sixteenth of what it may have is left.
	o := peers.Options{Streams: streams + streams/8, Channels: t.plan.channels}
	if t.server, err = t.runner.start(ctx, t.peer, o, flags); err != nil {
		return nil, err
	}
	defer t.server.stop()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w%s", err, t.server.tail())
		}
	}()
	t.client, err = load.New(load.Config{
		Addr: t.server.addr, Clock: t.runner.clock, Channels: t.plan.channels,
		Publishers: t.publishers(), RememberIDs: t.plan.kind == storm, IDPrefix: t.peer.IDPrefix,
		Secure: t.peer.Secure, RememberSessions: t.plan.kind == storm,
		Spin: t.runner.cores.apart,
	})
	if err != nil {
		return nil, err
	}
	defer t.client.Close()
	if t.before, err = t.server.memory(); err != nil {
		return nil, err
	}
	return t.carryOut(ctx)
}

// carryOut does what the plan says with the server that runs.
func (t *trial) carryOut(ctx context.Context) ([]report.Sample, error) {
	switch t.plan.kind {
	case idle:
		return t.idle(ctx)
	case multiplexed:
		return t.one(t.multiplexed(ctx))
	case storm:
		return t.one(t.storm(ctx))
	case presence:
		return t.one(t.presence(ctx))
	case lines:
		return t.one(t.lines())
	case texts:
		return t.one(t.texts())
	case textStorm:
		return t.one(t.textStorm())
	case textCost:
		return t.one(t.textCost())
	case requests, fanOut:
	}
	return t.one(t.fanOut())
}

// publishers returns how many publish request by request.
func (t *trial) publishers() int {
	switch t.plan.kind {
	case lines:
		return 0
	case texts, textStorm, textCost:
		return 1
	default:
		return t.plan.publishers
	}
}

// one makes a sample of metrics.
func (t *trial) one(metrics map[string]float64, err error) ([]report.Sample, error) {
	if err != nil {
		return nil, err
	}
	return []report.Sample{{Case: t.plan.name, X: t.plan.x, Metrics: metrics, Check: t.client.Total()}}, nil
}

// channel returns the name of a channel.
func channel(i int) string { return "c" + strconv.Itoa(i) }

// subscribe opens n more readers, spread over the channels.
func (t *trial) subscribe(n int) error {
	return t.client.Subscribe(n, func(reader int) load.Stream {
		i := reader % t.plan.channels
		return load.Stream{Request: t.peer.Subscribe(channel(i), "", ""), Channel: i}
	})
}

// publish connects the publishers.
func (t *trial) publish() error {
	return t.client.Publish(t.plan.channels, func(i int, payload []byte) []byte {
		return t.peer.Publish(channel(i), payload)
	})
}

// fanOut publishes to readers, or to nobody.
func (t *trial) fanOut() (map[string]float64, error) {
	metrics := map[string]float64{}
	if t.plan.readers > 0 {
		if err := t.subscribe(t.plan.readers); err != nil {
			return nil, err
		}
		if err := t.client.Run(settle); err != nil {
			return nil, err
		}
	}
	if t.plan.scenario == "H-readers" {
		if err := t.client.Run(growthRest); err != nil {
			return nil, err
		}
		if err := t.streamMemory(metrics, t.plan.readers); err != nil {
			return nil, err
		}
	}
	if err := t.publish(); err != nil {
		return nil, err
	}
	begin := t.client.Start
	if t.plan.perSecond > 0 {
		begin = func() error { return t.client.StartOpen(t.plan.perSecond) }
	}
	w, err := t.window(begin)
	if err != nil {
		return nil, err
	}
	if err := t.client.Stop(); err != nil {
		return nil, err
	}
	if _, err := t.client.Drain(drainLimit); err != nil {
		return nil, err
	}
	w.deliveries(metrics)
	return metrics, nil
}

// idle opens streams and lets them rest.
func (t *trial) idle(ctx context.Context) ([]report.Sample, error) {
	var samples []report.Sample
	opened := 0
	for _, size := range t.plan.sizes {
		if err := t.subscribe(size - opened); err != nil {
			return samples, err
		}
		opened = size
		if err := t.client.Run(idleRest); err != nil {
			return samples, err
		}
		metrics := map[string]float64{}
		if err := t.streamMemory(metrics, size); err != nil {
			return samples, err
		}
		samples = append(samples, report.Sample{
			Case: report.Whole(float64(size)), Metrics: metrics, Check: t.client.Total(),
		})
		if err := ctx.Err(); err != nil {
			return samples, err
		}
	}
	return samples, nil
}

// streamsEach is how many streams a connection has in the end where it may have several.
const streamsEach = 10

// multiplexed opens connections over HTTP/2 with one stream each, and then further ones on
// the same connections.
func (t *trial) multiplexed(ctx context.Context) (map[string]float64, error) {
	client, err := load.NewHTTP2(t.server.addr, t.plan.readers, t.peer.Subscribe(channel(0), "", ""))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	metrics := map[string]float64{report.RSSBefore: float64(t.before.rss) / (1 << 20)}
	if err := client.Open(ctx, 1); err != nil {
		return nil, err
	}
	if err := t.client.Run(idleRest); err != nil {
		return nil, err
	}
	first, err := t.server.memory()
	if err != nil {
		return nil, err
	}
	if err := client.Open(ctx, streamsEach-1); err != nil {
		return nil, err
	}
	if err := t.client.Run(idleRest); err != nil {
		return nil, err
	}
	last, err := t.server.memory()
	if err != nil {
		return nil, err
	}
	connections := float64(t.plan.readers)
	metrics[report.BytesPerConn] = float64(first.rss-t.before.rss) / connections
	metrics[report.BytesPerFurther] = float64(last.rss-first.rss) / connections / (streamsEach - 1)
	metrics[report.RSS] = float64(last.rss) / (1 << 20)
	return metrics, client.Err()
}

// streamMemory notes what so many streams cost.
func (t *trial) streamMemory(metrics map[string]float64, streams int) error {
	now, err := t.server.memory()
	if err != nil {
		return err
	}
	metrics[report.BytesPerStream] = float64(now.rss-t.before.rss) / float64(streams)
	metrics[report.AnonPerStream] = float64(now.anon-t.before.anon) / float64(streams)
	metrics[report.RSSBefore] = float64(t.before.rss) / (1 << 20)
	metrics[report.RSS] = float64(now.rss) / (1 << 20)
	return nil
}
