package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/events"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

const (
	// startWait is how long each step of a start may take. A cluster that was started
	// together with its clients needs some seconds to elect its leaders.
	startWait = 30 * time.Second
	// stepWait bounds one attempt at a step. A leader that has died never answers what
	// it was sent.
	stepWait = 2 * time.Second
	// sayEvery is the time between two log lines that say what a start waits for.
	sayEvery = 4 * time.Second
	// fewServersAfter is how long a cluster may lack servers for three replicas before
	// the engine makes do with fewer.
	fewServersAfter = 5 * time.Second
	// noJetStreamAfter is how long JetStream may leave requests unanswered before it
	// counts as switched off. A server that has just started does answer, if only to
	// say that it is not ready.
	noJetStreamAfter = 3 * time.Second
)

// open creates or finds the streams.
func (e *Engine) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	var err error
	if e.client, err = jetstream.NewClient(e.conn); err != nil {
		return err
	}
	config := e.opts.messagesConfig(e.names)
	e.stream = jetstream.NewStream(e.client, config.Name)
	info, err := e.ensure(ctx, e.stream, config)
	if err != nil {
		return err
	}
	if e.epoch, err = epochOf(info); err != nil {
		return err
	}
	if e.opts.Epoch != 0 && e.epoch != e.opts.Epoch {
		return fmt.Errorf("nats: the stream %s has another epoch than that of shard 0: delete the streams of all shards together", config.Name)
	}
	e.incarnation = incarnationOf(info)
	e.health.observe(info)
	if err := e.openOutbox(); err != nil {
		return err
	}
	if e.opts.Shard == 0 {
		e.cluster, err = openClusterState(ctx, e)
	}
	return err
}

// openOutbox makes the outbox, which hears of what the stream stores.
func (e *Engine) openOutbox() error {
	e.events = events.New(e.stream, e.names.events, e.epoch)
	if !e.opts.Outbox {
		return nil
	}
	_, err := e.conn.Subscribe(e.names.liveOf(e.events.Filter()), func(*natsio.Msg) { e.events.Poke() })
	return err
}

// ensure creates or changes a stream so that it has the wanted configuration. It has
// patience with servers that have just started.
func (e *Engine) ensure(ctx context.Context, stream *jetstream.Stream, want jetstream.Config) (*jetstream.Info, error) {
	began := time.Now()
	var info *jetstream.Info
	err := e.retryStart(ctx, func(ctx context.Context) (err error) {
		possible := 1
		if e.conn.ConnectedClusterName() != "" {
			possible = 3
		}
		if time.Since(began) > fewServersAfter {
			possible = min(possible, knownServers(e.conn))
		}
		info, err = e.ensureStream(ctx, stream, want, possible)
		return unsuitable(err, time.Since(began))
	})
	return info, err
}

// unsuitable marks errors that waiting cannot help. waited is how long the start has
// waited so far.
func unsuitable(err error, waited time.Duration) error {
	switch {
	case errors.Is(err, jetstream.ErrNoResponders) && waited > noJetStreamAfter, jetstream.IsNotEnabled(err):
		return fmt.Errorf("%w: JetStream is not enabled on the server: %w", ErrUnsuitable, err)
	case jetstream.IsNotEnabledForAccount(err):
		return fmt.Errorf("%w: JetStream is not enabled for the account: %w", ErrUnsuitable, err)
	case jetstream.IsNoReplicas(err):
		return fmt.Errorf("%w: a single server keeps no replicas, see --nats-replicas: %w", ErrUnsuitable, err)
	}
	return err
}

// retryStart calls step until it succeeds, fails for good, or ctx ends. A step must be
// safe to repeat, even if an earlier attempt went through unanswered. Now and then
// retryStart logs what it waits for.
func (e *Engine) retryStart(ctx context.Context, step func(context.Context) error) error {
	said := time.Now()
	return jetstream.Retry(ctx, stepWait, func(err error) bool {
		if errors.Is(err, ErrUnsuitable) || !jetstream.IsTransient(err) && !jetstream.IsStartingUp(err) {
			return false
		}
		if time.Since(said) > sayEvery {
			e.opts.Log.Warn("waiting for nats", slog.Any("error", err))
			said = time.Now()
		}
		return true
	}, step)
}
