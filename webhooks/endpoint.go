package webhooks

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

const (
	// giveUpAfter is how long after it happened an event is given up.
	giveUpAfter = time.Hour
	// lateFor is how long an event is tried at least. It may be old when it is read: the server
	// may have been down.
	lateFor = 5 * time.Minute
	// The pause after a failed attempt doubles from firstPause to longestPause. A random part
	// of up to a half is taken off, so that what failed together does not come together again.
	firstPause   = 2 * time.Second
	longestPause = 5 * time.Minute
	// maxRetryAfter bounds what an endpoint may ask for.
	maxRetryAfter = 15 * time.Minute
	// After failingAfter failures in a row, whatever they were about, an endpoint gets a new
	// attempt only every failingPause, until one succeeds. It would get as many as there are
	// channels otherwise.
	failingAfter = 8
	failingPause = time.Second
	// sayFailsEvery is the minimum time between two lines in the log that say that an endpoint
	// fails. One may fail every other time.
	sayFailsEvery = 10 * time.Second
)

// endpoint is what is pending for one URL, and how sending goes. Its fields are guarded by the
// sender's mu unless they say otherwise.
//
// The events of a channel stand in a lane. Only the first event of a lane is sent, so those of
// a channel stay in order. Lanes that are not being served wait in a heap, by when their turn
// is due. One goroutine gives them their turns, with at most maxConnections at a time.
type endpoint struct {
	// Static after construction.
	sender *Sender
	key    string          // names the endpoint in outboxes: a hash of its URL
	life   context.Context // until the endpoint is removed
	remove context.CancelFunc
	wake   chan struct{} // capacity 1

	settings *settings
	lanes    map[schemas.Channel]*lane
	due      dueLanes
	running  int       // attempts
	pending  int       // events
	failures int       // in a row
	rests    time.Time // no attempt begins before
	gone     bool      // it has answered 410

	delivered, givenUp int64
	unsaid             map[reason]int // given up and not logged
	saidFails          time.Time      // when the log last said that it fails
	saysFails          bool           // that is the last that the log said of it
	lastAttempt        time.Time
	lastStatus         int
	lastError          string
}

func newEndpoint(s *Sender, set *settings) *endpoint {
	hash := sha256.Sum256([]byte(set.url.String()))
	e := &endpoint{
		sender: s, key: hex.EncodeToString(hash[:8]), settings: set, wake: make(chan struct{}, 1),
		lanes: make(map[schemas.Channel]*lane), unsaid: make(map[reason]int),
	}
	e.life, e.remove = context.WithCancel(s.life)
	return e
}

// change takes other settings. They may be the repair of what has failed so far, so everything
// is tried again at once. The caller holds mu.
func (e *endpoint) change(set *settings) {
	e.settings, e.gone, e.failures, e.rests = set, false, 0, time.Time{}
	now := time.Now()
	for _, l := range e.due {
		l.due = now
	}
	e.poke()
}

func (e *endpoint) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// add puts an event at the end of its lane. The caller holds mu.
func (e *endpoint) add(i *item) {
	e.pending++
	l := e.lanes[i.Channel]
	if l == nil {
		l = &lane{channel: i.Channel, due: time.Now()}
		e.lanes[i.Channel] = l
		heap.Push(&e.due, l)
	}
	l.items = append(l.items, i)
	e.poke()
}

// sends reports whether an event is being sent. The caller holds mu.
func (e *endpoint) sends(i *item) bool {
	l := e.lanes[i.Channel]
	return l != nil && l.busy && l.items[0] == i
}

// tidy removes what is done from the front of a channel's lane, and the lane if nothing is
// left: an endpoint may rest for long, while any number of events come and are given up. A
// lane that is being served is tidied after that. The caller holds mu.
func (e *endpoint) tidy(channel schemas.Channel) {
	l := e.lanes[channel]
	if l == nil || l.busy || l.skip() {
		return
	}
	heap.Remove(&e.due, l.place)
	delete(e.lanes, channel)
}

// fresh reports whether there is an event that was never tried. The caller holds mu.
func (e *endpoint) fresh() bool {
	for _, l := range e.due {
		if l.items[0].tries == 0 {
			return true
		}
	}
	return false
}

// run gives lanes their turns. It ends when the endpoint is removed, after its attempts.
func (e *endpoint) run() {
	for {
		l, wait := e.next(time.Now())
		if l != nil {
			e.sender.running.Go(func() { e.serve(l) }) // until the attempt is over
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-e.life.Done():
			timer.Stop()
			return
		case <-e.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// longestWait is how long run sleeps if nothing is to be done. Then it looks for what has
// expired while the endpoint rested.
const longestWait = time.Minute

// next takes the lane whose turn it is out of the heap, or returns how long to wait for one.
func (e *endpoint) next(now time.Time) (*lane, time.Duration) {
	e.sender.mu.Lock()
	defer e.sender.mu.Unlock()
	for len(e.due) > 0 && e.life.Err() == nil {
		l := e.due[0]
		first := l.items[0]
		if wait := l.due.Sub(now); wait > 0 {
			return nil, min(wait, longestWait)
		}
		if !now.Before(first.until) {
			e.sender.giveUp(first, reasonExpired)
			continue
		}
		if wait := e.rests.Sub(now); wait > 0 {
			return nil, min(wait, longestWait)
		}
		if e.running >= maxConnections {
			break // whoever is through wakes run
		}
		heap.Pop(&e.due)
		l.busy = true
		e.running++
		if e.failures >= failingAfter {
			e.rests = now.Add(failingPause)
		}
		return l, 0
	}
	return nil, longestWait
}

// serve sends the first event of a lane once.
func (e *endpoint) serve(l *lane) {
	s := e.sender
	s.mu.Lock()
	first, set := l.items[0], e.settings
	ctx, cancel := context.WithCancel(e.life)
	stop := context.AfterFunc(first.leading, cancel)
	body := first.body
	s.mu.Unlock()
	r := post(ctx, s.client, set, first.id, body)
	cancelled := ctx.Err() != nil && r.status == 0
	stop()
	cancel()

	s.mu.Lock()
	defer s.mu.Unlock()
	e.running--
	switch {
	case !cancelled:
		e.conclude(l, first, &r)
	case e.life.Err() != nil && s.life.Err() == nil:
		s.giveUp(first, reasonRemoved)
		s.reportOn(e)
	}
	if l.busy = false; l.skip() {
		heap.Push(&e.due, l)
	} else {
		delete(e.lanes, l.channel)
	}
	e.poke()
	select {
	case s.progress <- struct{}{}:
	default:
	}
}

// conclude notes the result of an attempt. The caller holds mu.
func (e *endpoint) conclude(l *lane, i *item, r *result) {
	s, now := e.sender, time.Now()
	e.lastAttempt, e.lastStatus, e.lastError = now, r.status, ""
	if r.err == nil {
		if e.saysFails {
			e.saysFails = false
			s.opts.Log.Info("webhook endpoint answers again", slog.String("endpoint", e.settings.url.Host))
		}
		e.failures = 0
		l.due = now
		s.counts.Delivered++
		e.delivered++
		s.through(i)
		return
	}
	e.lastError = r.err.Error()
	s.counts.FailedAttempts++
	e.failures++
	if !e.saysFails && now.Sub(e.saidFails) >= sayFailsEvery {
		e.saysFails, e.saidFails = true, now
		s.opts.Log.Warn("webhook endpoint fails", slog.String("endpoint", e.settings.url.Host), slog.Any("error", r.err))
	}
	if r.gone() && !e.gone {
		e.gone = true
		s.giveUpAll(e, reasonGone)
	}
	if e.gone {
		s.giveUp(i, reasonGone)
		return
	}
	i.tries++
	asked := min(r.retryAfter, maxRetryAfter)
	l.due = now.Add(max(pauseAfter(i.tries), asked))
	if l.due.After(i.until) {
		l.due = i.until
	}
	if r.busy() {
		e.rests = now.Add(max(asked, failingPause))
	}
}

// pauseAfter returns the pause after a number of failed attempts at one event.
func pauseAfter(tries int) time.Duration {
	pause := longestPause
	if tries < 9 {
		pause = min(firstPause<<(tries-1), longestPause)
	}
	return pause - rand.N(pause/2)
}
