package clusterstate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Local is a store for a single node. It forgets everything when the process stops.
// The zero value is empty.
//
// It keeps only claimed items. The effect of any other item lives where apply put it,
// so there is nothing to restore when apply refuses one.
type Local struct {
	turn    Turn   // held while apply is called: items are applied one at a time
	apply   Apply  // owned by the holder of turn; nil before Watch
	claimed []Item // owned by the holder of turn; in the order of their claims
}

// Claim implements [Store].
func (l *Local) Claim(ctx context.Context, item Item) (Item, error) {
	if err := item.Check(); err != nil {
		return Item{}, err
	}
	if err := l.turn.Take(ctx); err != nil {
		return Item{}, err
	}
	defer l.turn.Give()
	if i := l.find(item); i >= 0 {
		return l.claimed[i], nil
	}
	l.claimed = append(l.claimed, item)
	return item, nil
}

// Watch implements [Store]. It applies all items even if apply refuses some; the
// error joins all refusals.
func (l *Local) Watch(ctx context.Context, apply Apply) error {
	if err := l.turn.Take(ctx); err != nil {
		return err
	}
	defer l.turn.Give()
	l.apply = apply
	l.expire()
	var refused []error
	for _, item := range l.claimed {
		refused = append(refused, apply(item))
	}
	return errors.Join(refused...)
}

// Put implements [Store].
func (l *Local) Put(ctx context.Context, item Item) error {
	if err := item.Check(); err != nil {
		return err
	}
	if err := l.turn.Take(ctx); err != nil {
		return err
	}
	defer l.turn.Give()
	if l.apply == nil {
		return fmt.Errorf("%w: Watch was not called", ErrUnavailable)
	}
	if err := l.apply(item); err != nil {
		return err
	}
	switch i := l.find(item); {
	case i >= 0 && item.Deleted:
		l.claimed = slices.Delete(l.claimed, i, i+1)
	case i >= 0:
		l.claimed[i] = item
	}
	return nil
}

// find returns the index of the claimed item with the same kind and name, or -1. The
// caller holds turn.
func (l *Local) find(item Item) int {
	l.expire()
	return slices.IndexFunc(l.claimed, func(c Item) bool { return c.Kind == item.Kind && c.Name == item.Name })
}

// expire removes expired items. The caller holds turn.
func (l *Local) expire() {
	now := time.Now()
	l.claimed = slices.DeleteFunc(l.claimed, func(c Item) bool { return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt) })
}
