// Package evictqueue orders items by when they may be evicted. It knows nothing of
// what they are.
package evictqueue

import "container/heap"

// Item is a value's place in a [Queue].
type Item[T any] struct {
	Value T     // static
	Key   int64 // static

	index int // in its queue; -1 once taken out
}

// Queue is a heap of items, the smallest key first. Adding and taking out cost the
// logarithm of its length. The zero value is empty. It is not safe for concurrent use,
// and neither are its items.
type Queue[T any] struct{ items items[T] }

// Add adds a value and returns its place.
func (q *Queue[T]) Add(value T, key int64) *Item[T] {
	it := &Item[T]{Value: value, Key: key}
	heap.Push(&q.items, it)
	return it
}

// Remove takes it out of the queue that it was added to. It does nothing if it was
// taken out before.
func (q *Queue[T]) Remove(it *Item[T]) {
	if it.index >= 0 {
		heap.Remove(&q.items, it.index)
	}
}

// Pop takes out the first item if its key is at most until, else it returns nil.
func (q *Queue[T]) Pop(until int64) *Item[T] {
	if len(q.items) == 0 || q.items[0].Key > until {
		return nil
	}
	return heap.Pop(&q.items).(*Item[T])
}

// First returns the smallest key, and whether there is one.
func (q *Queue[T]) First() (key int64, some bool) {
	if len(q.items) == 0 {
		return 0, false
	}
	return q.items[0].Key, true
}

// Len returns how many items there are.
func (q *Queue[T]) Len() int { return len(q.items) }

// items implements [heap.Interface].
type items[T any] []*Item[T]

// Len implements [heap.Interface].
func (its items[T]) Len() int { return len(its) }

// Less implements [heap.Interface].
func (its items[T]) Less(i, j int) bool { return its[i].Key < its[j].Key }

// Swap implements [heap.Interface].
func (its items[T]) Swap(i, j int) {
	its[i], its[j] = its[j], its[i]
	its[i].index, its[j].index = i, j
}

// Push implements [heap.Interface].
func (its *items[T]) Push(x any) {
	it := x.(*Item[T])
	it.index = len(*its)
	*its = append(*its, it)
}

// Pop implements [heap.Interface].
func (its *items[T]) Pop() any {
	last := len(*its) - 1
	it := (*its)[last]
	(*its)[last] = nil
	*its = (*its)[:last]
	it.index = -1
	return it
}
