package facts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Local is a store for one node that forgets everything when it stops. The zero
// value is empty.
//
// It keeps what was claimed. What else is told is remembered by what it changed
// alone, so there is nothing to take back when that was refused.
type Local struct {
	mu    sync.Mutex // held while apply is called: facts come one at a time
	apply Apply      // guarded by mu; nil before Watch
	kept  []Fact     // guarded by mu; those that were claimed, in that order
}

// Claim implements [Store].
func (l *Local) Claim(_ context.Context, f Fact) (Fact, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.find(f); i >= 0 {
		return l.kept[i], nil
	}
	l.kept = append(l.kept, f)
	return f, nil
}

// Watch implements [Store]. Facts that apply refuses do not keep the others from
// it; the error joins what it said.
func (l *Local) Watch(_ context.Context, apply Apply) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apply = apply
	l.expire()
	var refused []error
	for _, f := range l.kept {
		refused = append(refused, apply(f))
	}
	return errors.Join(refused...)
}

// Tell implements [Store]. Before Watch there is nobody to be told, which is
// [ErrUnavailable].
func (l *Local) Tell(_ context.Context, f Fact) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.apply == nil {
		return fmt.Errorf("%w: nobody watches", ErrUnavailable)
	}
	if err := l.apply(f); err != nil {
		return err
	}
	switch i := l.find(f); {
	case i >= 0 && f.Gone:
		l.kept = slices.Delete(l.kept, i, i+1)
	case i >= 0:
		l.kept[i] = f
	}
	return nil
}

// find returns where the fact of the kind and name of f is kept; below 0: nowhere.
// It is called with mu.
func (l *Local) find(f Fact) int {
	l.expire()
	return slices.IndexFunc(l.kept, func(k Fact) bool { return k.Kind == f.Kind && k.Name == f.Name })
}

// expire forgets what is over. It is called with mu.
func (l *Local) expire() {
	now := time.Now()
	l.kept = slices.DeleteFunc(l.kept, func(k Fact) bool { return !k.Until.IsZero() && !now.Before(k.Until) })
}
