package nats

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

// deletedFor is how long a deletion is kept. A node that was cut off for longer must be
// restarted.
const deletedFor = 30 * 24 * time.Hour

// ClusterState is a [clusterstate.Store] in a stream of its own, which holds the newest
// record of each item. Every node reads that stream in the order of positions, so all
// of them apply the same changes in the same order.
//
// Put stores a record and waits until this node has read it. The node may read records
// of others meanwhile; the verdict of apply is kept by position, so Put finds its own.
// If apply refuses, Put stores the previous item again, unless somebody else has
// changed it since. A node that stops between the two leaves an item that no node can
// apply: each logs it at its start and goes on.
type ClusterState struct {
	engine      *Engine
	stream      *jetstream.Stream
	incarnation string // of the stream
	prefix      string // of subjects
	live        string // where the stream republishes, in place of prefix

	turn clusterstate.Turn // of Put: one at a time

	mu       sync.Mutex
	follower *follower          // guarded by mu; nil until Watch has read what there is
	verdicts map[uint64]error   // guarded by mu; what apply said, by position, while Put waits
	watched  bool               // guarded by mu
	apply    clusterstate.Apply // set by Watch before follower
}

// openClusterState creates or finds the stream. Its name and subjects are stored in
// clusters and must not change.
func openClusterState(ctx context.Context, e *Engine) (*ClusterState, error) {
	config := baseConfig(e.opts.Name + "-facts")
	config.Description = "cluster state of sluice"
	s := &ClusterState{engine: e, prefix: e.opts.Name + ".facts.", live: e.opts.Name + ".told."}
	config.Subjects = []string{s.prefix + ">"}
	config.RePublish = &jetstream.RePublish{Source: s.prefix + ">", Destination: s.live + ">"}
	config.MaxMsgsPerSubject = 1
	s.stream = jetstream.NewStream(e.client, config.Name)
	info, err := e.ensure(ctx, s.stream, config)
	if err != nil {
		return nil, err
	}
	s.incarnation = incarnationOf(info)
	return s, nil
}

func (s *ClusterState) subject(kind clusterstate.Kind, name string) string {
	return s.prefix + string(kind) + "." + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// Claim implements [clusterstate.Store]. It is part of the start of a node, and has as
// much patience with a cluster as [Open].
func (s *ClusterState) Claim(ctx context.Context, item clusterstate.Item) (stored clusterstate.Item, err error) {
	if err := item.Check(); err != nil {
		return clusterstate.Item{}, err
	}
	limited, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := s.engine.retryStart(limited, func(ctx context.Context) (err error) {
		stored, err = s.claim(ctx, item)
		return err
	}); err != nil {
		return clusterstate.Item{}, s.failed(ctx, err)
	}
	return stored, nil
}

// claim is one try of Claim. If it stores the item and gets no answer, the next try
// finds the item.
func (s *ClusterState) claim(ctx context.Context, item clusterstate.Item) (clusterstate.Item, error) {
	stored, position, err := s.get(ctx, item)
	if err != nil || position > 0 && !stored.Deleted {
		return stored, err
	}
	_, err = s.store(ctx, item, position)
	return item, err
}

// Watch implements [clusterstate.Store].
func (s *ClusterState) Watch(ctx context.Context, apply clusterstate.Apply) error {
	s.mu.Lock()
	if s.watched {
		s.mu.Unlock()
		return errors.New("nats: cluster state: Watch was called twice")
	}
	s.watched = true
	s.mu.Unlock()
	s.apply = apply
	f := newFollower(s.stream, s.prefix+">", s.visit(true))
	if _, err := s.engine.conn.Subscribe(s.live+">", func(*natsio.Msg) { f.poke() }); err != nil {
		return s.failed(ctx, err)
	}
	limited, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := s.engine.retryStart(limited, f.catchUp); err != nil {
		return s.failed(ctx, err)
	}
	f.visit = s.visit(false)
	s.mu.Lock()
	s.follower = f
	s.mu.Unlock()
	s.engine.running.Go(func() { f.run(s.engine.life, s.engine.opts.Log) }) // until the engine is closed
	return nil
}

// visit returns the function that takes a record. At the start a deletion changes
// nothing, so it is passed over.
func (s *ClusterState) visit(start bool) func(jetstream.Message) {
	return func(record jetstream.Message) {
		item, err := s.decode(record)
		if err == nil && (item.Deleted && start || expired(item)) {
			return
		}
		if err == nil {
			err = s.apply(item)
		}
		s.mu.Lock()
		awaited := s.verdicts != nil
		if awaited {
			s.verdicts[record.Sequence] = err
		}
		s.mu.Unlock()
		if err != nil && !awaited {
			s.engine.opts.Log.Error("cannot apply cluster state", slog.String("kind", string(item.Kind)), slog.Any("error", err))
		}
	}
}

// Put implements [clusterstate.Store].
func (s *ClusterState) Put(ctx context.Context, item clusterstate.Item) error {
	if err := item.Check(); err != nil {
		return err
	}
	limited, cancel, err := s.engine.writing(ctx) // also bounds the wait for the turn
	if err != nil {
		return s.failed(ctx, err)
	}
	defer cancel()
	if err := s.turn.Take(limited); err != nil {
		return s.failed(ctx, err)
	}
	defer s.turn.Give()
	f, err := s.keepVerdicts()
	if err != nil {
		return err
	}
	defer s.dropVerdicts()
	before, position, err := s.get(limited, item)
	if err != nil {
		return s.failed(ctx, err)
	}
	stored, err := s.replace(limited, item, position)
	if err != nil {
		return s.failed(ctx, err)
	}
	if err := f.waitFor(limited, stored); err != nil {
		return s.failed(ctx, fmt.Errorf("%w: %w", clusterstate.ErrUncertain, err))
	}
	if err := s.verdictOn(stored); err != nil {
		return errors.Join(err, s.failed(ctx, s.restore(limited, item, before, position, stored)))
	}
	return nil
}

// replace stores item after the record at a position, or after a record that was
// stored meanwhile: the last writer wins. It returns the item's position.
func (s *ClusterState) replace(ctx context.Context, item clusterstate.Item, after uint64) (stored uint64, err error) {
	conflicted := false
	err = jetstream.Retry(ctx, 0, jetstream.IsConflict, func(ctx context.Context) error {
		if conflicted {
			if _, after, err = s.get(ctx, item); err != nil {
				return err
			}
		}
		stored, err = s.store(ctx, item, after)
		if conflicted = jetstream.IsConflict(err); errors.Is(err, jetstream.ErrNoAnswer) {
			return fmt.Errorf("%w: %w", clusterstate.ErrUncertain, err)
		}
		return err
	})
	return stored, err
}

// restore stores the item that was there before one that apply refused, unless
// something else is there already.
func (s *ClusterState) restore(ctx context.Context, item, before clusterstate.Item, position, stored uint64) error {
	if position == 0 || expired(before) {
		before = clusterstate.Item{Kind: item.Kind, Name: item.Name, Deleted: true}
	}
	_, err := s.store(ctx, before, stored)
	if jetstream.IsConflict(err) {
		return nil
	}
	return err
}

// keepVerdicts begins to keep what apply says.
func (s *ClusterState) keepVerdicts() (*follower, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.follower == nil {
		return nil, fmt.Errorf("%w: Watch has not returned yet", clusterstate.ErrUnavailable)
	}
	s.verdicts = make(map[uint64]error)
	return s.follower, nil
}

func (s *ClusterState) dropVerdicts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdicts = nil
}

func (s *ClusterState) verdictOn(position uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.verdicts[position]
}

// get returns the stored item of the same kind and name, and its position, 0 if there
// is none.
func (s *ClusterState) get(ctx context.Context, item clusterstate.Item) (clusterstate.Item, uint64, error) {
	record, found, err := s.stream.Last(ctx, s.subject(item.Kind, item.Name))
	if err != nil || !found {
		return clusterstate.Item{}, 0, err
	}
	stored, err := s.decode(record)
	return stored, record.Sequence, err
}

// store stores an item as the record that follows the one at a position.
func (s *ClusterState) store(ctx context.Context, item clusterstate.Item, after uint64) (uint64, error) {
	var keep time.Duration
	switch {
	case item.Deleted:
		keep = deletedFor
	case !item.ExpiresAt.IsZero():
		keep = max(time.Until(item.ExpiresAt), time.Second)
	}
	m := jetstream.NewMsg(s.subject(item.Kind, item.Name), encodeItem(item), keep)
	jetstream.ExpectLast(m, after)
	if err := s.engine.fits(m); err != nil {
		return 0, err
	}
	return s.stream.Publish(ctx, m)
}

// decode reads a record.
func (s *ClusterState) decode(record jetstream.Message) (clusterstate.Item, error) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(record.Subject, s.prefix), ".")
	text, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil {
		return clusterstate.Item{}, fmt.Errorf("%w: %w", errBadItem, err)
	}
	item, err := decodeItem(record.Data)
	item.Kind, item.Name = clusterstate.Kind(kind), string(text)
	return item, err
}

// failed returns the error of the caller's context, or ErrUnavailable, unless err is
// ErrUncertain or ErrTooLarge.
func (s *ClusterState) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if errors.Is(err, clusterstate.ErrUncertain) || errors.Is(err, engine.ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", clusterstate.ErrUnavailable, err)
}
