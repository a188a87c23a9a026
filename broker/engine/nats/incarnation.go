package nats

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

// maxSuspicions is how often in a row a stream may look like another one before that is
// believed. A server that has just come back may report a stale state.
const maxSuspicions = 5

// watchedStream is what makes a stream recognizable. A stream that somebody deletes and
// creates anew has another incarnation; one that was restored from an old copy ends
// before a position that was seen. Either way, positions begin to mean other messages,
// and everything that this process holds in memory is wrong.
type watchedStream struct {
	stream      *jetstream.Stream
	incarnation string
	head        uint64 // the newest position seen
}

// checkStreams asks whether the streams are the ones that they were.
func (r *reconciler) checkStreams() {
	err := r.within(2*time.Second, func(ctx context.Context) error {
		info, err := r.recognize(ctx, &r.messages)
		if err == nil && r.cluster != nil {
			_, err = r.recognize(ctx, r.cluster)
		}
		if err != nil {
			return err
		}
		r.suspicions = 0
		r.health.suspect(nil)
		r.health.observe(info)
		if leader := info.Leader(); leader != r.leader {
			if r.leader != "" {
				r.health.lossPossible() // the old one may not have republished all that it stored
			}
			r.leader = leader
		}
		return nil
	})
	if err != nil && r.life.Err() == nil {
		r.log.Debug("cannot check the stream", slog.Any("error", err))
	}
}

// recognize asks one stream.
func (r *reconciler) recognize(ctx context.Context, w *watchedStream) (*jetstream.Info, error) {
	info, err := w.stream.Info(ctx)
	switch {
	case jetstream.IsNoStream(err):
		return nil, r.suspect("the stream %s is gone", w.stream.Name())
	case err != nil:
		return nil, err
	case incarnationOf(info) != w.incarnation:
		return nil, r.suspect("the stream %s was created anew", w.stream.Name())
	case info.State.LastSeq < w.head:
		return nil, r.suspect("the stream %s was rolled back (its last sequence decreased); delete it", w.stream.Name())
	}
	w.head = info.State.LastSeq
	return info, nil
}

// suspect makes the engine unavailable, and gives it up once that has happened often
// enough.
func (r *reconciler) suspect(format string, args ...any) error {
	why := fmt.Errorf("nats: "+format, args...)
	r.health.suspect(why)
	if r.suspicions++; r.suspicions >= maxSuspicions {
		r.giveUp(fmt.Errorf("%w: this process must be restarted", why))
	}
	return why
}

// giveUp stops using the streams for good. Readers wait for positions that will never
// come, so they are sent to another node.
func (r *reconciler) giveUp(why error) {
	r.health.giveUp(why)
	r.log.Error("the stream must no longer be used", slog.Any("error", why))
	r.sink.Sever()
}

// shardKind is the kind of items that hold the incarnations of the other shards'
// streams. Their names consist of the shared epoch and the shard.
const shardKind = clusterstate.Kind("shard")

// Belongs returns an error if the stream of another shard was created anew while that
// of shard 0 was not. Its positions begin again, and ids from before would not show it.
func (s *ClusterState) Belongs(ctx context.Context, shard *Engine) error {
	name := strconv.FormatUint(shard.epoch, 36) + "." + strconv.Itoa(shard.opts.Shard)
	stored, err := s.Claim(ctx, clusterstate.Item{Kind: shardKind, Name: name, Value: []byte(shard.incarnation)})
	if err != nil {
		return err
	}
	if string(stored.Value) != shard.incarnation {
		return fmt.Errorf("nats: the stream %s was created anew alone: delete the streams of all shards together", shard.stream.Name())
	}
	return nil
}
