package webhooks

import (
	"container/list"
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
)

// Limits of what is pending, over all endpoints. Beyond them, the oldest event is given up.
const (
	maxPending      = 10_000
	maxPendingBytes = 64 << 20
)

// reason says why an event was given up for an endpoint.
type reason string

const (
	reasonExpired  reason = "expired"  // it was not accepted within an hour
	reasonOverflow reason = "overflow" // too many events were pending
	reasonGone     reason = "gone"     // the endpoint has said that it wants no more
	reasonRemoved  reason = "removed"  // the endpoint is not in the file any more
	reasonShutdown reason = "shutdown" // the process ended, and nothing keeps the event
)

// Reasons returns why events are given up, as metrics name it.
func Reasons() []string {
	return []string{string(reasonExpired), string(reasonOverflow), string(reasonGone), string(reasonRemoved), string(reasonShutdown)}
}

// pending is an event that is not settled.
type pending struct {
	outbox.Event
	id    string
	body  []byte    // nil once it is settled
	until time.Time // then it is given up
	from  *source
	// leading ends when this node may not send the event any more.
	leading context.Context
	items   []*item // one for each endpoint that wants it
	left    int     // how many of these are not done
	place   *list.Element
}

// item is an event that one endpoint is to get. All of it is guarded by the sender's mu.
type item struct {
	*pending
	to    *endpoint
	tries int
	done  bool // delivered or given up, or it is another node's turn
}

// queue is what is pending, the oldest first.
type queue struct {
	events list.List // of *pending
	bytes  int
}

func (q *queue) full() bool { return q.events.Len() > maxPending || q.bytes > maxPendingBytes }

// enqueue takes an event from an outbox.
func (s *Sender) enqueue(leading context.Context, from *source, e outbox.Event) {
	p := &pending{Event: e, id: idOf(&e), body: bodyOf(&e), from: from, leading: leading}
	p.Run = nil // it is in the body
	// Counted from now on, for a clock may be set while the event is pending, and that of the node
	// where it happened need not agree with this one.
	now := time.Now()
	left := e.At.Std().Add(giveUpAfter).Sub(now)
	p.until = now.Add(min(max(left, lateFor), giveUpAfter))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, to := range s.endpoints {
		switch {
		case !to.settings.wants(&e) || slices.Contains(e.Through, to.key):
		case to.gone:
			s.note(to, reasonGone)
		default:
			p.items = append(p.items, &item{pending: p, to: to})
		}
	}
	if p.left = len(p.items); p.left == 0 {
		from.settle(outbox.Outcome{Position: e.ID.Seq})
		return
	}
	p.place = s.queue.events.PushBack(p)
	s.queue.bytes += len(p.body)
	for _, i := range p.items {
		i.to.add(i)
	}
	s.makeRoom()
}

// makeRoom gives up the oldest events that are too many. Those that are being sent stay. The
// caller holds mu.
func (s *Sender) makeRoom() {
	for place := s.queue.events.Front(); place != nil && s.queue.full(); {
		p := place.Value.(*pending)
		place = place.Next()
		for _, i := range p.items {
			if !i.done && !i.to.sends(i) {
				s.giveUp(i, reasonOverflow)
			}
		}
	}
}

// through notes that an endpoint is through with an event. The caller holds mu.
func (s *Sender) through(i *item) {
	if i.done {
		return
	}
	i.done = true
	i.to.pending--
	i.to.tidy(i.Channel)
	p := i.pending
	if p.left--; p.left > 0 {
		p.from.settle(outbox.Outcome{Position: p.ID.Seq, By: i.to.key})
		return
	}
	s.forget(p)
	p.from.settle(outbox.Outcome{Position: p.ID.Seq})
}

// forget removes an event from the queue. The caller holds mu.
func (s *Sender) forget(p *pending) {
	s.queue.events.Remove(p.place)
	s.queue.bytes -= len(p.body)
	p.body = nil
}

// giveUp gives up an event for an endpoint. The caller holds mu.
func (s *Sender) giveUp(i *item, why reason) {
	if i.done {
		return
	}
	s.note(i.to, why)
	s.through(i)
}

// giveUpAll gives up what is pending for an endpoint, but for what is being sent. The caller
// holds mu.
func (s *Sender) giveUpAll(e *endpoint, why reason) {
	for _, l := range e.lanes {
		for n, i := range l.items {
			if i != nil && (n > 0 || !l.busy) {
				s.giveUp(i, why)
			}
		}
	}
}

// leave drops the events of a source that this node does not lead any more. Another node finds
// them, or the next start does, unless they were only in memory. The caller holds mu.
func (s *Sender) leave(from *source) {
	for place := s.queue.events.Front(); place != nil; {
		p := place.Value.(*pending)
		place = place.Next()
		if p.from != from {
			continue
		}
		for _, i := range p.items {
			if i.done {
				continue
			}
			i.done = true
			i.to.pending--
			i.to.tidy(i.Channel)
			if !s.opts.Kept {
				s.note(i.to, reasonShutdown)
			}
		}
		s.forget(p)
	}
}

// note counts an event that is given up. The caller holds mu.
func (s *Sender) note(e *endpoint, why reason) {
	e.givenUp++
	e.unsaid[why]++
	s.counts.givenUp(why)
}

// report logs what was given up since the last time: one line for each endpoint and reason,
// however many events. The caller holds mu.
func (s *Sender) report() {
	for _, e := range s.endpoints {
		s.reportOn(e)
	}
}

func (s *Sender) reportOn(e *endpoint) {
	for _, why := range slices.Sorted(maps.Keys(e.unsaid)) {
		s.opts.Log.Error("webhook events given up", slog.String("endpoint", e.settings.url.Host), slog.String("reason", string(why)),
			slog.Int("events", e.unsaid[why]), slog.String("last_error", e.lastError))
	}
	clear(e.unsaid)
}
