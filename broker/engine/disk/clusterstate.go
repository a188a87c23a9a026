package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
)

// ClusterState is a [clusterstate.Store] in the directory of an engine.
type ClusterState struct {
	e     *Engine
	turn  clusterstate.Turn  // held during a change and its apply: waiters wait for the disk
	apply clusterstate.Apply // owned by the holder of turn; nil before Watch
}

var _ clusterstate.Store = (*ClusterState)(nil)

// Claim implements [clusterstate.Store].
func (s *ClusterState) Claim(ctx context.Context, f clusterstate.Item) (kept clusterstate.Item, err error) {
	if err := f.Check(); err != nil {
		return clusterstate.Item{}, err
	}
	kept = f
	err = s.e.do(ctx, func(g *group) error {
		have, found, err := readItem(g.e.db(), f.Kind, f.Name, g.now)
		if err != nil {
			return err
		}
		if found {
			kept = have
			return nil
		}
		return g.putItem(f)
	})
	return kept, clusterStateError(err)
}

// Watch implements [clusterstate.Store].
func (s *ClusterState) Watch(ctx context.Context, apply clusterstate.Apply) error {
	if err := s.turn.Take(ctx); err != nil {
		return err
	}
	defer s.turn.Give()
	var all []clusterstate.Item
	err := s.e.read(ctx, func(db pebble.Reader) error {
		iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableItems}, UpperBound: []byte{tableItems + 1}})
		if err != nil {
			return err
		}
		now := time.Now()
		for ok := iter.First(); ok; ok = iter.Next() {
			var f clusterstate.Item
			kind, name, _ := bytes.Cut(iter.Key()[1:], []byte{0})
			if f, err = decodeItem(bytes.Clone(iter.Value()), clusterstate.Kind(kind), string(name)); err != nil {
				err = errorAt(iter.Key(), err)
				break
			}
			if f.ExpiresAt.IsZero() || f.ExpiresAt.After(now) {
				all = append(all, f)
			}
		}
		return firstOf(err, iter.Error(), iter.Close())
	})
	if err != nil {
		return clusterStateError(err)
	}
	s.apply = apply
	for _, f := range all {
		if err := apply(f); err != nil {
			return fmt.Errorf("disk: cluster state %s %q: %w", f.Kind, f.Name, err)
		}
	}
	return nil
}

// Put implements [clusterstate.Store]. An item that is deleted or has expired is
// applied and not kept.
func (s *ClusterState) Put(ctx context.Context, f clusterstate.Item) error {
	if err := f.Check(); err != nil {
		return err
	}
	if err := s.turn.Take(ctx); err != nil {
		return err
	}
	defer s.turn.Give()
	if s.apply == nil {
		return fmt.Errorf("%w: Watch was not called", clusterstate.ErrUnavailable)
	}
	was, err := s.replace(ctx, f)
	if err != nil {
		return clusterStateError(err)
	}
	cause := s.apply(f)
	if cause == nil {
		return nil
	}
	// The previous item is restored even if the caller has left meanwhile.
	_, err = s.replace(context.WithoutCancel(ctx), was)
	return errors.Join(cause, clusterStateError(err))
}

// replace stores f and returns the previous item.
func (s *ClusterState) replace(ctx context.Context, f clusterstate.Item) (was clusterstate.Item, err error) {
	err = s.e.do(ctx, func(g *group) error {
		have, found, err := readItem(g.e.db(), f.Kind, f.Name, g.now)
		if err != nil {
			return err
		}
		if was = have; !found {
			was = clusterstate.Item{Kind: f.Kind, Name: f.Name, Deleted: true}
		}
		if f.Deleted && !found {
			return nil
		}
		return g.putItem(f)
	})
	return was, err
}

// putItem writes f, or removes it if it is deleted.
func (g *group) putItem(f clusterstate.Item) error {
	g.durable = true
	key := itemKey(nil, f.Kind, f.Name)
	if f.Deleted {
		return g.batch.Delete(key, nil)
	}
	if !f.ExpiresAt.IsZero() {
		look := append(expiryKey(max(f.ExpiresAt.UnixMilli(), g.now+1), lookItem), key[1:]...)
		if err := g.batch.Set(look, nil, nil); err != nil {
			return err
		}
	}
	return g.batch.Set(key, appendItem(nil, f), nil)
}

// readItem returns the stored item unless it has expired.
func readItem(db pebble.Reader, kind clusterstate.Kind, name string, now int64) (f clusterstate.Item, found bool, err error) {
	found, err = get(db, itemKey(nil, kind, name), func(b []byte) (err error) {
		f, err = decodeItem(bytes.Clone(b), kind, name)
		return err
	})
	if err != nil || !found || !f.ExpiresAt.IsZero() && f.ExpiresAt.UnixMilli() <= now {
		return clusterstate.Item{}, false, err
	}
	return f, true, nil
}

// clusterStateError turns an error of the engine into one of clusterstate.
func clusterStateError(err error) error {
	if errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrUncertain) {
		return fmt.Errorf("%w: %w", clusterstate.ErrUnavailable, err)
	}
	return err
}
