package clusterstate

import (
	"context"
	"sync"
)

// Turn is a mutex whose waiters obey their contexts. It is for work that takes a
// while, such as storing an item and applying it. The zero value is ready for use.
type Turn struct {
	made sync.Once
	free chan struct{} // capacity 1; full while nobody has the turn
}

func (t *Turn) make() {
	t.made.Do(func() {
		t.free = make(chan struct{}, 1)
		t.free <- struct{}{}
	})
}

// Take waits until the caller has the turn, which it must give back with [Turn.Give].
// It returns the error of ctx if that ends first.
func (t *Turn) Take(ctx context.Context) error {
	t.make()
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-t.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Give gives the turn back.
func (t *Turn) Give() { t.free <- struct{}{} }
