package evictqueue_test

import (
	"math"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/broker/internal/evictqueue"
)

func TestQueue_Pop(t *testing.T) {
	var q evictqueue.Queue[int]
	if key, some := q.First(); some || q.Pop(math.MaxInt64) != nil {
		t.Errorf("an empty queue has key %d", key)
	}
	items := make([]*evictqueue.Item[int], 20)
	for i := range items {
		items[i] = q.Add(i, int64(i*7%20))
	}
	q.Remove(items[5])
	q.Remove(items[5]) // twice is once
	if key, some := q.First(); key != 0 || !some || q.Len() != 19 {
		t.Errorf("first key %d, %t, of %d", key, some, q.Len())
	}
	if it := q.Pop(-1); it != nil {
		t.Errorf("took out %d", it.Key)
	}
	var keys []int64
	for it := q.Pop(math.MaxInt64); it != nil; it = q.Pop(math.MaxInt64) {
		keys = append(keys, it.Key)
		if items[it.Value] != it {
			t.Errorf("the item of %d holds %d", it.Key, it.Value)
		}
	}
	if len(keys) != 19 || !slices.IsSorted(keys) || slices.Contains(keys, items[5].Key) {
		t.Errorf("took out %v", keys)
	}
	q.Remove(items[0]) // taken out before
}
