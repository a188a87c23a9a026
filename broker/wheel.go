package broker

import "time"

// A wheel turns by one slot a tick and once in wheelTicks ticks: what is further
// away is looked at once a turn.
const (
	wheelTick  = 50 * time.Millisecond
	wheelTicks = 512
)

// wheel is one alarm clock for many sockets. Each has a place in the list of the
// slot in which it is due; moving it costs a few pointers. Times are on the
// broker's clock. Not safe for concurrent use.
type wheel struct {
	slots [wheelTicks]*socket // the first of a list each
	tick  int64               // all slots up to this tick are done
}

// alarm is a socket's place in a wheel.
type alarm struct {
	next, prev *socket // prev is nil for the first of a list
	slot       int32   // -1: in none
}

func newAlarm() alarm { return alarm{slot: -1} }

// set wakes so at the time at, up to a tick later, in place of an earlier order.
func (w *wheel) set(so *socket, at time.Duration) {
	tick := int64((at + wheelTick - 1) / wheelTick)
	tick = min(max(tick, w.tick+1), w.tick+wheelTicks-1)
	slot := int32(tick % wheelTicks)
	if so.alarm.slot == slot {
		return
	}
	w.cancel(so)
	first := w.slots[slot]
	so.alarm = alarm{next: first, slot: slot}
	if first != nil {
		first.alarm.prev = so
	}
	w.slots[slot] = so
}

// cancel takes so out.
func (w *wheel) cancel(so *socket) {
	a := so.alarm
	if a.slot < 0 {
		return
	}
	if a.prev != nil {
		a.prev.alarm.next = a.next
	} else {
		w.slots[a.slot] = a.next
	}
	if a.next != nil {
		a.next.alarm.prev = a.prev
	}
	so.alarm = newAlarm()
}

// turn goes on to the time now and calls ring for every socket that is due. ring
// may set and cancel.
func (w *wheel) turn(now time.Duration, ring func(*socket)) {
	until := int64(now / wheelTick)
	w.tick = max(w.tick, until-wheelTicks) // after a longer rest, one turn meets all of them
	for w.tick < until {
		w.tick++
		slot := &w.slots[w.tick%wheelTicks]
		for so := *slot; so != nil; so = *slot {
			w.cancel(so)
			ring(so)
		}
	}
}

// next returns when the next slot with a socket in it is due, and whether there
// is one.
func (w *wheel) next() (at time.Duration, some bool) {
	for tick := w.tick + 1; tick < w.tick+wheelTicks; tick++ {
		if w.slots[tick%wheelTicks] != nil {
			return time.Duration(tick) * wheelTick, true
		}
	}
	return 0, false
}
