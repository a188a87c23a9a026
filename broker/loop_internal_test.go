//go:build linux

package broker

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/schemas"
)

// rig is a writer loop whose turns the test takes by hand.
type rig struct {
	*loop
	t     *testing.T
	ended chan error
	done  func(s *Stream, sent int64, err error)
}

func newRig(t *testing.T, opts Options) *rig {
	l, err := newLoop(newBroker(t, opts).shards[0])
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{loop: l, t: t, ended: make(chan error, 10_000)}
	r.done = func(_ *Stream, _ int64, err error) { r.ended <- err }
	t.Cleanup(func() {
		l.end()
		l.poll.Close()
	})
	l.readClock()
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
	s, err := r.shard.broker.Subscribe(r.t.Context(), sub)
	if err != nil {
		r.t.Fatal(err)
	}
	so := &socket{loop: r.loop, cursor: s.cursors[0], done: r.done, fd: int32(fd), coding: chunked}
	r.addSocket(so)
	return so
}

// settleAll works until nothing is left to do.
func (r *rig) settleAll() {
	r.receive()
	for len(r.tasks)+len(r.sweeps) > 0 {
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

// TestLoop_work_fair: after each slice, a busy channel with many readers gives way to a quiet
// channel and to a task.
func TestLoop_work_fair(t *testing.T) {
	const slice = 16
	r := newRig(t, Options{Pace: -1, Heartbeat: time.Hour})
	r.shard.broker.say(t, "busy")
	r.shard.broker.say(t, "quiet")
	var busy []*socket
	for range 10 * slice {
		busy = append(busy, r.open(named("busy")))
	}
	quiet := r.open(named("quiet"))
	other := r.open(named("busy", "quiet"))
	r.settleAll()
	if quiet.group == nil || slices.ContainsFunc(busy, func(so *socket) bool { return so.group == nil }) || other.group != nil {
		t.Fatal("the streams are not where they should be")
	}
	r.shard.broker.say(t, "busy")
	r.receive()
	r.work()
	before := quiet.sent
	r.shard.broker.say(t, "quiet")
	turns := 0
	for ; quiet.sent == before; turns++ {
		if turns > 2 {
			t.Fatalf("the quiet reader waits for %d slices of the busy channel", turns)
		}
		sent := make(map[*socket]int64)
		for _, so := range busy {
			sent[so] = so.sent
		}
		r.shard.broker.say(t, "busy")
		r.receive()
		r.addTask(other)
		r.work()
		if other.queued && len(r.tasks) > 0 && r.tasks[0] == other {
			t.Error("the task waits")
		}
		served := 0
		for _, so := range busy {
			if so.sent != sent[so] {
				served++
			}
		}
		if served > slice {
			t.Errorf("%d readers were served in one go", served)
		}
	}
	r.settleAll()
	for i, so := range busy {
		if so.cursor.position.Load() != r.shard.registry.get("busy").log.Last() {
			t.Fatalf("reader %d is at %d", i, so.cursor.position.Load())
		}
	}
}
