// Package timerwheel holds timers for very many items at the price of a few
// pointers each: one hashed wheel that its owner turns. An item carries its own
// [Timer], so setting and cancelling allocate nothing.
//
// A wheel fires a timer up to one [Tick] late and never early. It knows nothing
// of clocks: its owner says what time it is.
package timerwheel

import "time"

const (
	// Tick is the resolution of a wheel.
	Tick = 50 * time.Millisecond
	// Ticks is how many slots a wheel has. A timer that is due more than Ticks-1
	// ticks from now fires then, early, for its owner to look and set it again.
	Ticks = 512
)

// Item is what a timer is set for: a pointer to a struct that holds a [Timer].
type Item[E any] interface {
	comparable
	Timer() *Timer[E]
}

// Timer is an item's place in a wheel. The zero value is not set.
type Timer[E any] struct {
	next, prev E // in the list of the slot; prev is zero for the first
	slot       int32
	set        bool
}

// Wheel is a set of timers. Times are durations since a moment that its owner
// chooses. The zero value has no timers and stands at 0. It is not safe for
// concurrent use.
type Wheel[E Item[E]] struct {
	slots [Ticks]E // the first of a list each
	tick  int64    // every slot up to this tick has fired
}

// Set makes the timer of e fire at the given time instead of when it was set to
// before. A time that has passed counts as the next tick.
func (w *Wheel[E]) Set(e E, at time.Duration) {
	tick := int64((at + Tick - 1) / Tick)
	tick = min(max(tick, w.tick+1), w.tick+Ticks-1)
	slot := int32(tick % Ticks)
	t := e.Timer()
	if t.set && t.slot == slot {
		return
	}
	w.Cancel(e)
	var none E
	first := w.slots[slot]
	*t = Timer[E]{next: first, slot: slot, set: true}
	if first != none {
		first.Timer().prev = e
	}
	w.slots[slot] = e
}

// Cancel makes sure that the timer of e does not fire.
func (w *Wheel[E]) Cancel(e E) {
	t := e.Timer()
	if !t.set {
		return
	}
	var none E
	if t.prev != none {
		t.prev.Timer().next = t.next
	} else {
		w.slots[t.slot] = t.next
	}
	if t.next != none {
		t.next.Timer().prev = t.prev
	}
	*t = Timer[E]{}
}

// Advance moves the wheel to the time now and calls fire for every item that is
// due. fire may set and cancel timers, also that of the item it is called with.
func (w *Wheel[E]) Advance(now time.Duration, fire func(E)) {
	until := int64(now / Tick)
	w.tick = max(w.tick, until-Ticks) // after a longer rest, one turn meets all of them
	var none E
	for w.tick < until {
		w.tick++
		slot := &w.slots[w.tick%Ticks]
		for e := *slot; e != none; e = *slot {
			w.Cancel(e)
			fire(e)
		}
	}
}

// Now returns the time that the wheel stands at, a multiple of [Tick]; in a call of
// fire, the one that it was called for.
func (w *Wheel[E]) Now() time.Duration { return time.Duration(w.tick) * Tick }

// Next returns when the next timer is due, and whether there is one.
func (w *Wheel[E]) Next() (at time.Duration, some bool) {
	var none E
	for tick := w.tick + 1; tick < w.tick+Ticks; tick++ {
		if w.slots[tick%Ticks] != none {
			return time.Duration(tick) * Tick, true
		}
	}
	return 0, false
}
