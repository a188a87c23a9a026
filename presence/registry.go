package presence

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Times that are promised to clients.
const (
	// Grace is how long a reader may be away without having left.
	Grace = 5 * time.Second
	// Gather is the shortest time between two events about a channel.
	Gather = time.Second
)

const (
	// promptly is how long a change of a quiet channel waits for others: a stream that
	// comes also wants to be told.
	promptly = 20 * time.Millisecond
	// settling is how long a node that begins to track listens to the others before it
	// tells anybody what it knows.
	settling = 500 * time.Millisecond
	// interest is for how long readers are tracked after somebody has asked for a list.
	interest = time.Minute
)

// Options are what a registry needs.
type Options struct {
	// Bus connects the nodes. Default: this node is alone.
	Bus Bus
	// Grace is how long a reader may be away without having left. Default: [Grace].
	Grace time.Duration
	Log   *slog.Logger // default none
}

// Registry knows the readers of all nodes. It is an [audience.Audience]. All methods are
// safe for concurrent use.
type Registry struct {
	// Static after construction.
	bus    Bus
	grace  time.Duration
	log    *slog.Logger
	id     string // of this node, in this life
	news   chan struct{}
	stop   chan struct{}
	done   chan struct{} // closed when run has ended
	close  sync.Once
	calls  sync.Mutex // held while watchers are called, so that one that is removed is not called afterwards
	round  atomic.Uint64
	deaf   func()       // stops listening to the bus; set by Start
	report func()       // asks the broker for every open stream; set by Start
	began  atomic.Bool  // Start was called
	rounds atomic.Int64 // that have begun

	mu        sync.Mutex
	rooms     map[schemas.Channel]*room // guarded by mu
	nodes     map[string]*node          // guarded by mu; the others, by id
	agenda    agenda                    // guarded by mu
	followers int                       // guarded by mu
	wanted    time.Time                 // guarded by mu; until when lists are wanted
	settled   chan struct{}             // guarded by mu; closed while what is known may be told
	isSettled bool                      // guarded by mu
	watchers  map[*watcher]struct{}     // guarded by mu
	out       outbox                    // guarded by mu
	wake      []*Follower               // guarded by mu; to be woken at the end of the turn
	names     int                       // guarded by mu; members of all rooms
}

// New returns a registry that does nothing before [Registry.Start]. The caller closes it.
func New(o Options) *Registry {
	return &Registry{
		bus: o.Bus, grace: cmp.Or(o.Grace, Grace), log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), id: newNodeID(), deaf: func() {},
		news: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		rooms: make(map[schemas.Channel]*room), nodes: make(map[string]*node), settled: make(chan struct{}),
		watchers: make(map[*watcher]struct{}),
	}
}

// Start begins to work. report is called at the beginning of each round: it must have every
// open stream report itself, see [audience.Seat.Report].
func (r *Registry) Start(report func()) error {
	r.report = report
	if r.bus != nil {
		deaf, err := r.bus.Listen(topic, r.receive)
		if err != nil {
			return err
		}
		r.deaf = deaf
	}
	r.began.Store(true)
	go r.run() // ends with Close
	return nil
}

// Close says goodbye to the other nodes. It is idempotent.
func (r *Registry) Close() {
	r.close.Do(func() {
		close(r.stop)
		if !r.began.Load() {
			return
		}
		<-r.done
		r.deaf()
	})
}

// Round implements [audience.Audience].
func (r *Registry) Round() uint64 { return r.round.Load() }

// Came implements [audience.Audience].
func (r *Registry) Came(round uint64, channel schemas.Channel, subject string, since time.Time) {
	r.count(round, channel, subject, 1, since)
}

// Went implements [audience.Audience].
func (r *Registry) Went(round uint64, channel schemas.Channel, subject string) {
	r.count(round, channel, subject, -1, time.Time{})
}

// count adds n streams of this node. If they came, it was at the given time.
func (r *Registry) count(round uint64, channel schemas.Channel, subject string, n int, since time.Time) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if round != r.round.Load() {
		return
	}
	room := r.room(channel)
	r.add(room, subject, n, since, now, r.grace)
	here := &room.anonymousHere
	if m := room.members[subject]; m != nil {
		here = &m.here
	}
	*here += n
	if r.bus != nil && r.out.add(channel, subject, now) {
		r.signal()
	}
}

// at has something done at a time. The caller holds mu.
func (r *Registry) at(when time.Time, do func(now time.Time)) {
	if next, some := r.agenda.next(); !some || when.Before(next) {
		r.signal()
	}
	r.agenda.add(when, do)
}

// signal makes run look again.
func (r *Registry) signal() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// run works until Close is called.
func (r *Registry) run() {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.stop:
			r.post(r.goodbye())
			return
		case <-r.news:
		case <-timer.C:
		}
		r.adjust()
		if wait, some := r.turn(); some {
			timer.Reset(wait)
		}
	}
}

// turn does what is due. It returns how long there is nothing to do, and whether that ends by
// itself. What others have to hear is told when the lock is free.
func (r *Registry) turn() (wait time.Duration, some bool) {
	r.mu.Lock()
	now := time.Now()
	r.agenda.work(now)
	letters := r.letters(now)
	told := r.takeTold()
	woken := r.wake
	r.wake = nil
	next, some := r.agenda.next()
	if at, due := r.out.due(); due && (!some || at.Before(next)) {
		next, some = at, true
	}
	r.mu.Unlock()
	r.post(letters)
	for _, f := range woken {
		f.wake()
	}
	r.tellWatchers(told)
	return max(next.Sub(now), 0), some
}

// adjust begins a round when somebody wants to know who reads, and ends it when nobody does
// any more.
func (r *Registry) adjust() {
	r.mu.Lock()
	wanted, running := r.wants(time.Now()) || r.othersWant(), r.round.Load() != 0
	switch {
	case wanted && !running:
		r.begin()
		r.mu.Unlock()
		r.report()
		r.mu.Lock()
		r.out.changed, r.out.snapshot = nil, r.bus != nil
	case !wanted && running:
		r.end()
	}
	r.mu.Unlock()
}

// begin begins a round. The caller holds mu.
func (r *Registry) begin() {
	round := uint64(r.rounds.Add(1))
	r.round.Store(round)
	r.out.seq++ // what others may still have is of an earlier round
	now := time.Now()
	settle := func(time.Time) {
		if r.round.Load() == round {
			r.settle()
		}
	}
	if r.bus == nil {
		r.at(now, settle)
		return
	}
	r.out.ask("")
	r.at(now.Add(settling), settle)
	r.scheduleBeat(round, now)
}

// settle lets what is known be told. The caller holds mu.
func (r *Registry) settle() {
	r.isSettled = true
	close(r.settled)
	now := time.Now()
	for _, room := range r.rooms {
		if len(room.followers) > 0 {
			r.scheduleFlush(room, now)
		}
	}
	for w := range r.watchers {
		r.tellInitial(w)
	}
}

// end ends the round and forgets everything. The caller holds mu.
func (r *Registry) end() {
	r.round.Store(0)
	if r.isSettled {
		r.settled, r.isSettled = make(chan struct{}), false
	}
	r.names = 0
	clear(r.rooms)
	r.agenda = nil
	r.out.reset()
	clear(r.nodes) // none of them wants to know anything; who is still there will be heard
	if r.bus != nil {
		r.out.beat = true // tells the others that nothing is wanted any more
	}
}

// wants reports whether somebody on this node wants to know who reads. The caller holds mu.
func (r *Registry) wants(now time.Time) bool {
	return r.followers > 0 || len(r.watchers) > 0 || now.Before(r.wanted)
}

// await makes this node track readers for a while and waits until what it knows can be
// told. Errors: that of ctx.
func (r *Registry) await(ctx context.Context) error {
	if !r.began.Load() {
		return nil
	}
	r.mu.Lock()
	until := time.Now().Add(interest)
	if r.wanted.Before(until.Add(-time.Second)) {
		r.wanted = until
		r.at(until, func(time.Time) { r.signal() }) // adjust has another look
	}
	settled := r.settled
	r.mu.Unlock()
	r.signal()
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats are figures of a registry.
type Stats struct {
	Members   int // subjects in channels that are tracked now, on all nodes
	Followers int // streams of this node that follow a channel
	Nodes     int // others that have been heard lately
}

// Stats returns the current figures.
func (r *Registry) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{Members: r.names, Followers: r.followers, Nodes: len(r.nodes)}
}
