//go:build linux

package broker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/schemas"
)

// rig is a writer loop that the test turns by hand.
type rig struct {
	*loop
	t     *testing.T
	ended chan error
}

func newRig(t *testing.T, opts Options) *rig {
	l, err := newLoop(newBroker(t, opts))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{loop: l, t: t, ended: make(chan error, 10_000)}
	t.Cleanup(func() {
		l.end()
		l.poll.close()
	})
	l.look()
	return r
}

// open gives the loop a stream with a socket.
func (r *rig) open(sub Subscription) *socket {
	r.t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = unix.Close(ends[1]) })
	return r.carry(sub, ends[0])
}

func (r *rig) carry(sub Subscription, fd int) *socket {
	r.t.Helper()
	s, err := r.broker.Subscribe(r.t.Context(), sub)
	if err != nil {
		r.t.Fatal(err)
	}
	so := &socket{loop: r.loop, stream: s, fd: int32(fd), alarm: newAlarm(), coding: chunked}
	so.done = func(_ *Stream, _ int64, err error) { r.ended <- err }
	r.welcome(so)
	return so
}

// settleAll works until nothing is left to do.
func (r *rig) settleAll() {
	r.receive()
	for len(r.errands)+len(r.passes) > 0 {
		r.work()
		r.receive()
	}
}

func named(names ...schemas.Pattern) Subscription {
	var sub Subscription
	for _, name := range names {
		sub.Channels = append(sub.Channels, Selector{Channel: name})
	}
	return sub
}

// TestLoop_work_fair: a channel with many readers that is published to all the time
// gives way to a quiet one after each stretch, and to an errand.
func TestLoop_work_fair(t *testing.T) {
	const stretch = 16
	r := newRig(t, Options{Pace: -1, Heartbeat: time.Hour})
	r.broker.say(t, "busy")
	r.broker.say(t, "quiet")
	var busy []*socket
	for range 10 * stretch {
		busy = append(busy, r.open(named("busy")))
	}
	quiet := r.open(named("quiet"))
	errand := r.open(named("busy", "quiet"))
	r.settleAll()
	if quiet.crowd == nil || slices.ContainsFunc(busy, func(so *socket) bool { return so.crowd == nil }) || errand.crowd != nil {
		t.Fatal("the streams do not sit where they should")
	}
	r.broker.say(t, "busy")
	r.receive()
	r.work()
	before := quiet.sent
	r.broker.say(t, "quiet")
	turns := 0
	for ; quiet.sent == before; turns++ {
		if turns > 2 {
			t.Fatalf("the quiet reader waits for %d stretches of the busy channel", turns)
		}
		sent := make(map[*socket]int64)
		for _, so := range busy {
			sent[so] = so.sent
		}
		r.broker.say(t, "busy")
		r.receive()
		r.queue(errand)
		r.work()
		if errand.queued && len(r.errands) > 0 && r.errands[0] == errand {
			t.Error("the errand waits")
		}
		served := 0
		for _, so := range busy {
			if so.sent != sent[so] {
				served++
			}
		}
		if served > stretch {
			t.Errorf("%d readers were served in one go", served)
		}
	}
	r.settleAll()
	for i, so := range busy {
		if so.stream.position.Load() != r.broker.registry.get("busy").log.last {
			t.Fatalf("reader %d is at %d", i, so.stream.position.Load())
		}
	}
}

// TestLoop_drive_bounded: a long backlog of one reader leaves in parts, between
// which others have their turn.
func TestLoop_drive_bounded(t *testing.T) {
	r := newRig(t, Options{Replay: Limits{Messages: 2000, Bytes: 8 << 20}, Heartbeat: time.Hour})
	for range 2000 {
		if _, err := r.broker.Publish(t.Context(), Publication{Channel: "a", Topic: "b", Data: fmt.Appendf(nil, "%q", make([]byte, 100))}); err != nil {
			t.Fatal(err)
		}
	}
	sub := named("a")
	sub.Replay = Replay{mode: replayAll}
	so := r.open(sub)
	before := int64(0)
	for so.state == open && so.stream.position.Load() < 2000 {
		r.errands, so.queued = r.errands[:0], false
		r.drive(so)
		if n := so.sent - before; n > maxVolley+maxWrite+lotBytes || n == 0 && so.state == open {
			t.Fatalf("%d bytes in one go", n)
		}
		before = so.sent
		if so.state == open && !so.queued && so.stream.position.Load() < 2000 {
			t.Fatal("it has more and no errand")
		}
	}
	if before < 2*maxVolley {
		t.Fatalf("it was no burst: %d bytes", before)
	}
}

// TestCrowd_places opens, ends and moves streams at random: each is in exactly one
// place, and knows its own.
func TestCrowd_places(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t, Options{Pace: -1, Heartbeat: time.Hour})
	names := []schemas.Channel{"a", "b", "c"}
	var live []*socket
	for step := range 1500 {
		name := names[random.IntN(len(names))]
		switch what := random.IntN(20); {
		case what < 8:
			live = append(live, r.open(named(schemas.Pattern(name))))
		case what < 11 && len(live) > 0:
			r.finish(live[random.IntN(len(live))], errHungUp)
		case what < 12 && len(live) > 0:
			live[random.IntN(len(live))].stream.End(Disconnected())
		case what < 13 && random.IntN(4) == 0:
			_ = r.broker.Delete(t.Context(), name) // it may not be there
		case what < 16:
			r.settleAll()
		default:
			r.broker.say(t, name)
		}
		r.receive()
		if len(r.errands)+len(r.passes) > 0 && random.IntN(2) == 0 {
			r.work()
		}
		live = slices.DeleteFunc(live, func(so *socket) bool { return so.state != open })
		if fault := r.misplaced(live, names); fault != "" {
			t.Fatalf("seed %d, step %d: %s", seed, step, fault)
		}
	}
	r.settleAll()
	live = slices.DeleteFunc(live, func(so *socket) bool { return so.state != open })
	for _, so := range live {
		if name, _ := so.stream.wants.selectors[0].Channel.Exact(); so.crowd == nil && r.broker.registry.get(name) != nil {
			t.Errorf("a reader of %s that has read everything has no seat", name)
		}
		r.finish(so, errHungUp)
	}
	for _, name := range names {
		c := r.broker.registry.get(name)
		if c == nil {
			continue
		}
		c.mu.Lock()
		if c.readers.crowds != nil || c.readers.streams != nil || c.log.passed != nobody || c.log.floor != nobody {
			t.Errorf("something is left of the readers of %s: they are to pass %d, %d", name, c.log.floor, c.log.passed)
		}
		c.mu.Unlock()
	}
}

// misplaced says what is wrong with where the streams are.
func (r *rig) misplaced(live []*socket, names []schemas.Channel) string {
	places := make(map[*Stream]int)
	for _, name := range names {
		c := r.broker.registry.get(name)
		fault := ""
		if waiting := r.broker.registry.stripe(name).waiting[name]; waiting != nil {
			fault = waiting.count(nil, places)
		}
		if c != nil && fault == "" {
			fault = c.readers.count(c, places)
		}
		if fault != "" {
			return fmt.Sprint(name, ": ", fault)
		}
	}
	for _, so := range live {
		if _, ending := so.stream.Ended(); places[so.stream] != 1 && !ending {
			return fmt.Sprintf("stream %d is in %d places", so.stream.id, places[so.stream])
		}
		delete(places, so.stream)
	}
	if len(places) > 0 {
		return fmt.Sprintf("%d streams are over and still there", len(places))
	}
	return ""
}

// count counts in how many places each stream is, and says what is wrong with the
// crowds, which are c's.
func (a *audience) count(c *channel, places map[*Stream]int) (fault string) {
	if a == nil {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range a.streams {
		places[s]++
	}
	for _, cr := range a.crowds {
		if len(cr.members) == 0 || cr.channel.Load() != c {
			return "a crowd without members, or of another channel"
		}
		for i, so := range cr.members {
			places[so.stream]++
			if so.crowd != cr || int(so.seat) != i {
				return fmt.Sprintf("the member at %d has seat %d", i, so.seat)
			}
		}
	}
	return ""
}

// TestLoop_write_timedOut: the system has given a connection up, and the loop
// learns of it from a write.
func TestLoop_write_timedOut(t *testing.T) {
	r := newRig(t, Options{WriteTimeout: 200 * time.Millisecond, Heartbeat: time.Hour})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := duplicate(server)
	server.Close()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := client.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	_ = raw.Control(func(own uintptr) {
		err = unix.SetsockoptSockFprog(int(own), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
	if err != nil {
		t.Fatal(err)
	}
	so := r.carry(named("a"), fd)
	r.settleAll() // $open, which is not acknowledged
	if n, err := unix.Poll([]unix.PollFd{{Fd: so.fd}}, 30_000); n != 1 || err != nil {
		t.Fatalf("it is not given up: %d, %v", n, err)
	}
	r.broker.say(t, "a")
	r.settleAll()          // it is told
	for so.state == open { // by the herald, that is
		<-r.news
		r.settleAll()
	}
	select {
	case err := <-r.ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end")
	}
}

// TestBroker_behind_leavesOthersBe: a publisher that looks, and has to wait on,
// does not make the others look again that wait: they would do so to each other
// without end.
func TestBroker_behind_leavesOthersBe(t *testing.T) {
	b := newBroker(t, Options{Pace: time.Hour, Replay: Limits{Messages: 1, Bytes: 1}, Hold: 1000})
	s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.outSince.Store(0) // as if it were in Next
	b.say(t, "a")
	c := b.registry.get("a")
	for range 1000 {
		c.mu.Lock()
		if b.behind(c, time.Now()) {
			defer c.mu.Unlock()
			room := make(chan struct{})
			c.room = room
			if !b.behind(c, time.Now()) {
				t.Error("it is not behind any more")
			}
			select {
			case <-room:
				t.Error("the others were woken, and there is no more room than before")
			default:
			}
			return
		}
		c.mu.Unlock()
		b.say(t, "a")
	}
	t.Fatal("it never falls behind")
}

// TestLoop_ring_owed: a client that has taken a little meanwhile, and not as much
// as it must, is cut all the same.
func TestLoop_ring_owed(t *testing.T) {
	for _, tt := range []struct {
		all   bool // of what it must take
		taken int64
		want  state
	}{{false, 0, closed}, {false, 1, closed}, {true, -1, closed}, {true, 0, full}} {
		r := newRig(t, Options{Heartbeat: time.Hour, Replay: Limits{Bytes: 8 << 20}})
		sub := named("a")
		sub.Replay = Replay{mode: replayAll}
		data := fmt.Appendf(nil, "%q", slices.Repeat([]byte("x"), 50_000))
		for range 40 {
			if _, err := r.broker.Publish(t.Context(), Publication{Channel: "a", Topic: "b", Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		so := r.open(sub)
		r.settleAll()
		if so.state != full {
			t.Fatalf("the socket took everything: state %d", so.state)
		}
		owed := min(int64(len(so.jam.rest)), maxWrite)
		if owed < 3 {
			t.Fatalf("%d bytes are left: it shows nothing", owed)
		}
		if so.sent += tt.taken; tt.all {
			so.sent += owed
		}
		r.clock += r.broker.opts.WriteTimeout + wheelTick
		r.wheel.turn(r.clock, r.ring)
		if so.state != tt.want {
			t.Errorf("with %d bytes taken (and all of %d: %t): state %d, want %d", tt.taken, owed, tt.all, so.state, tt.want)
		} else if tt.want == closed {
			if err := <-r.ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it ended with %v", err)
			}
		}
	}
}

// TestCrowd_end_joined: who joins while a pass is under way, and is behind, still
// has to be served when that pass ends: what it has to read is held.
func TestCrowd_end_joined(t *testing.T) {
	b := newBroker(t, Options{Loops: -1})
	l := &loop{broker: b}
	c, _ := b.registry.create("a", 0, nil)
	join := func(position uint64) *crowd {
		s := &Stream{broker: b}
		s.position.Store(position)
		c.readers.add(s)
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.seat(&socket{loop: l, stream: s})
	}
	cr := join(0)
	b.say(t, "a")
	b.say(t, "a")
	cr.begin(1)
	cr.next, cr.low = -1, 2 // the one member was served
	cr.members[0].stream.position.Store(2)
	join(1)
	if more := cr.end(b, time.Now()); !more || cr.served.Load() != 1 || c.log.passed != 1 {
		t.Errorf("served up to %d, held from %d, more: %t", cr.served.Load(), c.log.passed, more)
	}
}
