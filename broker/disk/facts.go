package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/facts"
)

// Facts keeps facts in the directory of an engine. It implements [facts.Store].
type Facts struct {
	e     *Engine
	mu    sync.Mutex  // one change at a time, with its apply
	apply facts.Apply // guarded by mu; nil before Watch
}

var _ facts.Store = (*Facts)(nil)

// Claim implements [facts.Store].
func (s *Facts) Claim(ctx context.Context, f facts.Fact) (kept facts.Fact, err error) {
	if err := check(f); err != nil {
		return facts.Fact{}, err
	}
	kept = f
	err = s.e.do(ctx, func(g *group) error {
		have, found, err := readFact(g.e.db(), f.Kind, f.Name, g.now)
		if err != nil {
			return err
		}
		if found {
			kept = have
			return nil
		}
		return g.keepFact(f)
	})
	return kept, factError(err)
}

// Watch implements [facts.Store].
func (s *Facts) Watch(ctx context.Context, apply facts.Apply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []facts.Fact
	err := s.e.read(ctx, func(db pebble.Reader) error {
		iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableFacts}, UpperBound: []byte{tableFacts + 1}})
		if err != nil {
			return err
		}
		now := time.Now()
		for ok := iter.First(); ok; ok = iter.Next() {
			var f facts.Fact
			kind, name, _ := bytes.Cut(iter.Key()[1:], []byte{0})
			if f, err = decodeFact(bytes.Clone(iter.Value()), facts.Kind(kind), string(name)); err != nil {
				err = errorAt(iter.Key(), err)
				break
			}
			if f.Until.IsZero() || f.Until.After(now) {
				all = append(all, f)
			}
		}
		return firstOf(err, iter.Error(), iter.Close())
	})
	if err != nil {
		return factError(err)
	}
	s.apply = apply
	for _, f := range all {
		if err := apply(f); err != nil {
			return fmt.Errorf("disk: fact %s %q: %w", f.Kind, f.Name, err)
		}
	}
	return nil
}

// Tell implements [facts.Store]. A fact that is gone, or whose time is over, is
// applied and forgotten.
func (s *Facts) Tell(ctx context.Context, f facts.Fact) error {
	if err := check(f); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := s.replace(ctx, f)
	if err != nil || s.apply == nil {
		return factError(err)
	}
	cause := s.apply(f)
	if cause == nil {
		return nil
	}
	// What was before holds again, also when the caller has left meanwhile.
	_, err = s.replace(context.WithoutCancel(ctx), was)
	return errors.Join(cause, factError(err))
}

// replace keeps f and returns what was kept before.
func (s *Facts) replace(ctx context.Context, f facts.Fact) (was facts.Fact, err error) {
	err = s.e.do(ctx, func(g *group) error {
		have, found, err := readFact(g.e.db(), f.Kind, f.Name, g.now)
		if err != nil {
			return err
		}
		if was = have; !found {
			was = facts.Fact{Kind: f.Kind, Name: f.Name, Gone: true}
		}
		if f.Gone && !found {
			return nil
		}
		return g.keepFact(f)
	})
	return was, err
}

// keepFact writes f, or deletes it when it is gone.
func (g *group) keepFact(f facts.Fact) error {
	g.durable = true
	key := factKey(nil, f.Kind, f.Name)
	if f.Gone {
		return g.batch.Delete(key, nil)
	}
	if !f.Until.IsZero() {
		look := append(agendaKey(max(f.Until.UnixMilli(), g.now+1), lookFact), key[1:]...)
		if err := g.batch.Set(look, nil, nil); err != nil {
			return err
		}
	}
	return g.batch.Set(key, appendFact(nil, f), nil)
}

// readFact returns the fact that is kept, if it still holds.
func readFact(db pebble.Reader, kind facts.Kind, name string, now int64) (f facts.Fact, found bool, err error) {
	found, err = get(db, factKey(nil, kind, name), func(b []byte) (err error) {
		f, err = decodeFact(bytes.Clone(b), kind, name)
		return err
	})
	if err != nil || !found || !f.Until.IsZero() && f.Until.UnixMilli() <= now {
		return facts.Fact{}, false, err
	}
	return f, true, nil
}

func check(f facts.Fact) error {
	if f.Kind == "" || len(f.Kind) > 32 || f.Name == "" || len(f.Name) > facts.MaxName || len(f.Value) > facts.MaxValue {
		return fmt.Errorf("disk: a fact out of bounds: kind %q, name of %d bytes, value of %d bytes", f.Kind, len(f.Name), len(f.Value))
	}
	return nil
}

// factError turns the engine's error into that of facts.
func factError(err error) error {
	if errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUncertain) {
		return fmt.Errorf("%w: %w", facts.ErrUnavailable, err)
	}
	return err
}
