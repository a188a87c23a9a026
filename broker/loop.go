package broker

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/internal/netpoll"
	"github.com/sluicehq/sluice/broker/internal/timerwheel"
)

const (
	// maxWrite is how many bytes a stream is sent at a time by a task, which serves
	// streams that need more than the newest messages of one channel.
	maxWrite = 16 << 10
	// maxTurn is how long a loop works on a long sweep before publishers have their
	// turn. A sweep carries more the more gathers meanwhile.
	maxTurn = 400 * time.Microsecond
	// maxShift is how long a loop works on short sweeps and tasks. These gain nothing
	// by waiting, so publishers should not run ahead of them.
	maxShift = 2 * time.Millisecond
	// sliceMembers is how many sockets of one sweep, or tasks, are served before others
	// have their turn.
	sliceMembers = 16
	// measureEvery is how long a loop waits between two turns in which it measures a sweep
	// and a task. With one reader, measuring each would cost several percent.
	measureEvery = time.Millisecond
	// hangUpTimeout is how long a client may take to hang up after the end of its
	// stream. Closing the connection earlier could discard bytes that are still on
	// their way.
	hangUpTimeout = time.Second
)

// loop writes to many sockets. It is one goroutine, which owns them for as long as they
// are open, so no part of a socket needs a lock. It never waits for a single socket.
//
// A stream of one channel that needs nothing but what comes next sits in the channel's
// [group] and is served in sweeps. Every other stream is served by tasks: its socket is
// queued whenever there may be something to do. Each turn of the loop takes the inbox,
// fires due timers, and alternates between a few tasks and one slice of a sweep until
// its time is up.
type loop struct {
	// Static after construction.
	shard *shard
	poll  *netpoll.Poll
	news  chan struct{} // capacity 1: the inbox may not be empty

	mu      sync.Mutex
	inbox   inbox // guarded by mu
	stopped bool  // guarded by mu

	// Owned by run.
	taken      inbox // the previous inbox, emptied for reuse
	sockets    []*socket
	generation int32 // of the newest socket
	wheel      timerwheel.Wheel[*socket]
	tasks      []*socket     // sockets with something to do, oldest first
	sweeps     []*group      // groups that are being swept, the next one first
	paced      []*group      // groups that were swept a moment ago and wait for the pace
	batches    [4]writeBatch // of this slice of a sweep
	built      int           // how many of the batches are valid
	batch      Batch
	out        []byte
	sealed     []byte // what writeSealed sends
	now        time.Time
	clock      time.Duration
	uncounted  tally
	measureAt  time.Duration // when deliveries are measured again, on the broker's clock
	unmeasured bool          // the next sweep is measured
}

// inbox is what other goroutines have for a loop.
type inbox struct {
	arrived []*socket
	woken   []*socket
	dirty   []*group
	hurried []*group
	ready   []netpoll.Event
}

func (in *inbox) reset() {
	clear(in.arrived)
	clear(in.woken)
	clear(in.dirty)
	clear(in.hurried)
	in.arrived, in.woken, in.ready = in.arrived[:0], in.woken[:0], in.ready[:0]
	in.dirty, in.hurried = in.dirty[:0], in.hurried[:0]
}

// wake makes the loop look at so. Safe for concurrent use.
func (l *loop) wake(so *socket) {
	if so.inInbox.Swap(true) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox.woken = append(l.inbox.woken, so)
	l.signal()
}

// requestSweep makes the loop sweep g. Safe for concurrent use.
func (l *loop) requestSweep(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox.dirty = append(l.inbox.dirty, g)
	l.signal()
}

// hurrySweep makes the loop sweep g as soon as it can, whatever the pace. Safe for
// concurrent use.
func (l *loop) hurrySweep(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox.hurried = append(l.inbox.hurried, g)
	l.signal()
}

// signal makes run look into the inbox.
func (l *loop) signal() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// stop makes run and watch return.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.signal()
}

// watch passes on what happens to the sockets, until the poll is closed.
func (l *loop) watch() {
	for {
		ready, err := l.poll.Wait()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.inbox.ready = append(l.inbox.ready, ready...)
		l.signal()
		l.mu.Unlock()
	}
}

// run works until stop is called, then ends the remaining streams.
func (l *loop) run() {
	defer l.poll.Close()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		over := l.turn()
		if over {
			l.end()
			return
		}
		if len(l.tasks)+len(l.sweeps) > 0 {
			l.poll.Yield()
			continue
		}
		if wait, some := l.idle(); some {
			rest.Reset(wait)
		} else {
			rest.Stop()
		}
		select {
		case <-l.news:
		case <-rest.C:
		}
	}
}

// idle returns how long there is nothing to do, and whether that ends by itself.
func (l *loop) idle() (wait time.Duration, some bool) {
	at, some := l.wheel.Next()
	if len(l.paced) > 0 {
		due := l.paced[0].began + l.shard.opts.Pace
		if !some || due < at {
			at, some = due, true
		}
	}
	return max(at-l.shard.broker.clock(time.Now()), 0), some
}

// turn takes the inbox and works for a while. It reports whether the loop must end.
func (l *loop) turn() (over bool) {
	l.readClock()
	began := l.now
	over = l.receive()
	l.wheel.Advance(l.clock, l.timeout)
	for len(l.paced) > 0 && l.clock >= l.paced[0].began+l.shard.opts.Pace {
		l.startSweep(l.paced[0])
		l.paced = pop(l.paced)
	}
	if l.clock >= l.measureAt {
		l.measureAt = l.clock + measureEvery
		l.unmeasured, l.batch.measured = true, true
	}
	for most := maxShift; l.now.Sub(began) < most && len(l.tasks)+len(l.sweeps) > 0; l.readClock() {
		if most = maxShift; l.work() {
			most = maxTurn
		}
	}
	l.flushTally()
	return over
}

func (l *loop) readClock() {
	l.now = time.Now()
	l.clock = l.shard.broker.clock(l.now)
}

// work does a few tasks and one slice of a sweep. It reports whether that sweep goes
// on.
func (l *loop) work() (long bool) {
	for range min(sliceMembers, len(l.tasks)) { // not those that are added meanwhile
		so := l.tasks[0]
		l.tasks = pop(l.tasks)
		so.queued = false
		l.drive(so)
	}
	if len(l.sweeps) > 0 {
		g := l.sweeps[0]
		l.sweeps = pop(l.sweeps)
		if l.serveSlice(g); g.next >= 0 {
			l.sweeps = append(l.sweeps, g)
			return true
		}
		more := g.endSweep(l.shard, l.now)
		g.queued = false
		if more || g.sweepAgain {
			g.sweepAgain = false
			l.queueSweep(g)
		}
	}
	return false
}

// pop removes the first element of a queue.
func pop[T any](queue []T) []T {
	var none T
	queue[0] = none
	if len(queue) == 1 {
		return queue[:0]
	}
	return queue[1:]
}

// receive handles what the others have left in the inbox. It reports whether the loop
// must end.
func (l *loop) receive() (over bool) {
	l.mu.Lock()
	l.inbox, l.taken = l.taken, l.inbox
	over = l.stopped
	l.mu.Unlock()
	for _, e := range l.taken.ready {
		l.handleEvent(e)
	}
	for _, so := range l.taken.arrived {
		l.addSocket(so)
	}
	for _, so := range l.taken.woken {
		so.inInbox.Store(false) // before the task: a later wake has something new
		l.addTask(so)
	}
	for _, g := range l.taken.dirty {
		l.queueSweep(g)
	}
	for _, g := range l.taken.hurried {
		if i := slices.Index(l.paced, g); i >= 0 {
			l.paced = slices.Delete(l.paced, i, i+1)
			l.startSweep(g)
		}
	}
	l.taken.reset()
	return over
}

// end ends all streams. One that was told why it ends still says so if its socket
// accepts that at once.
func (l *loop) end() {
	l.receive()
	for _, so := range l.sockets {
		if so == nil {
			continue
		}
		if so.state == open {
			l.drive(so)
		}
		if so.state == open || so.state == full {
			l.finish(so, ErrClosed)
		}
		if so.state == leaving {
			l.closeSocket(so, false)
		}
	}
	l.flushTally()
}

// tally is what a loop has sent and not yet added to the broker's counters.
type tally struct{ messages, bytes int64 }

// flushTally adds the tally to the broker's counters.
func (l *loop) flushTally() {
	if l.uncounted != (tally{}) {
		l.shard.broker.stats.count(l.uncounted.messages, l.uncounted.bytes)
		l.uncounted = tally{}
	}
}

// loops are a shard's writer loops. They start with the first stream that needs one.
type loops struct {
	mu      sync.Mutex
	all     []*loop // guarded by mu; static once it is set
	stopped bool    // guarded by mu
}

// startLoops returns the loops, and starts them with the first call. If that fails for
// lack of descriptors, the next stream tries again.
func (sh *shard) startLoops() ([]*loop, error) {
	sh.loops.mu.Lock()
	defer sh.loops.mu.Unlock()
	if sh.loops.stopped {
		return nil, ErrClosed
	}
	if sh.loops.all != nil {
		return sh.loops.all, nil
	}
	n := sh.opts.Loops
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	all := make([]*loop, n)
	for i := range all {
		l, err := newLoop(sh)
		if err != nil {
			for _, l := range all[:i] {
				l.poll.Close()
			}
			return nil, err
		}
		all[i] = l
	}
	for _, l := range all {
		sh.broker.wg.Go(l.run)   // ends with stop
		sh.broker.wg.Go(l.watch) // ends with run
	}
	sh.loops.all = all
	return all, nil
}

// stopLoops makes the loops end their streams and return.
func (sh *shard) stopLoops() {
	sh.loops.mu.Lock()
	defer sh.loops.mu.Unlock()
	sh.loops.stopped = true
	for _, l := range sh.loops.all {
		l.stop()
	}
}
