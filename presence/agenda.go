package presence

import (
	"container/heap"
	"time"
)

// agenda is what has to be done at some time, the earliest first.
type agenda []appointment

type appointment struct {
	at time.Time
	do func(now time.Time)
}

func (a *agenda) add(at time.Time, do func(now time.Time)) { heap.Push(a, appointment{at, do}) }

// work does what is due.
func (a *agenda) work(now time.Time) {
	for len(*a) > 0 && !(*a)[0].at.After(now) {
		heap.Pop(a).(appointment).do(now)
	}
}

// next returns when something is due, and whether anything is.
func (a agenda) next() (at time.Time, some bool) {
	if len(a) == 0 {
		return time.Time{}, false
	}
	return a[0].at, true
}

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push implements [heap.Interface].
func (a *agenda) Push(x any) { *a = append(*a, x.(appointment)) }

// Pop implements [heap.Interface].
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = appointment{}
	*a = (*a)[:last]
	return x
}
