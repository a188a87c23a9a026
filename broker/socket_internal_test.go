//go:build linux

package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/internal/netpoll"
	"github.com/sluicehq/sluice/broker/internal/timerwheel"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestLoop_drive_bounded: a long backlog of one reader is sent in parts, between which
// others have their turn.
func TestLoop_drive_bounded(t *testing.T) {
	r := newRig(t, Options{Replay: engine.Limits{Messages: 2000, Bytes: 8 << 20}, Heartbeat: time.Hour})
	for range 2000 {
		if _, err := r.shard.broker.Publish(t.Context(), Publication{Channel: "a", Topic: "b", Data: fmt.Appendf(nil, "%q", make([]byte, 100))}); err != nil {
			t.Fatal(err)
		}
	}
	sub := named("a")
	sub.Replay = ring.ReplayAll()
	so := r.open(sub)
	before := int64(0)
	for so.state == open && so.cursor.position.Load() < 2000 {
		r.tasks, so.queued = r.tasks[:0], false
		r.drive(so)
		if n := so.sent - before; n > maxWriteBatch+2*maxWrite || n == 0 && so.state == open {
			t.Fatalf("%d bytes in one go", n)
		}
		before = so.sent
		if so.state == open && !so.queued && so.cursor.position.Load() < 2000 {
			t.Fatal("it has more and no task")
		}
	}
	if before < 2*maxWriteBatch {
		t.Fatalf("it was no burst: %d bytes", before)
	}
}

// TestLoop_write_timedOut: the loop learns from a write that the system has given up the
// connection.
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
	fd, err := netpoll.Duplicate(server)
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
	if n, err := unix.Poll([]unix.PollFd{{Fd: so.fd}}, 120_000); n != 1 || err != nil {
		t.Fatalf("it is not given up: %d, %v", n, err)
	}
	r.shard.broker.say(t, "a")
	r.settleAll()          // it is told
	for so.state == open { // by the notifier, that is
		<-r.news
		r.settleAll()
	}
	select {
	case err := <-r.ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("it did not end")
	}
}

// TestLoop_timeout_acceptsTooLittle: a client that has accepted less than it must is cut off,
// even if it has accepted a little.
func TestLoop_timeout_acceptsTooLittle(t *testing.T) {
	for _, tt := range []struct {
		all   bool // of what it must take
		taken int64
		want  state
	}{{false, 0, closed}, {false, 1, closed}, {true, -1, closed}, {true, 0, full}} {
		r := newRig(t, Options{Heartbeat: time.Hour, Replay: engine.Limits{Bytes: 8 << 20}})
		sub := named("a")
		sub.Replay = ring.ReplayAll()
		data := fmt.Appendf(nil, "%q", slices.Repeat([]byte("x"), 50_000))
		for range 40 {
			if _, err := r.shard.broker.Publish(t.Context(), Publication{Channel: "a", Topic: "b", Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		so := r.open(sub)
		r.settleAll()
		if so.state != full {
			t.Fatalf("the socket took everything: state %d", so.state)
		}
		owed := min(int64(len(so.stall.unsent)), maxWrite)
		if owed < 3 {
			t.Fatalf("%d bytes are left, so this shows nothing", owed)
		}
		if so.sent += tt.taken; tt.all {
			so.sent += owed
		}
		r.clock += r.shard.opts.WriteTimeout + timerwheel.Tick
		r.wheel.Advance(r.clock, r.timeout)
		if so.state != tt.want {
			t.Errorf("with %d bytes taken (and all of %d: %t): state %d, want %d", tt.taken, owed, tt.all, so.state, tt.want)
		} else if tt.want == closed {
			if err := <-r.ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it ended with %v", err)
			}
		}
	}
}

// TestLoop_block_ahead: while a socket is full, its stream keeps only a bounded amount of what it
// has taken out of logs.
func TestLoop_block_ahead(t *testing.T) {
	r := newRig(t, Options{Heartbeat: time.Hour})
	data := fmt.Appendf(nil, "%q", slices.Repeat([]byte("x"), 15_000))
	for i := range 1000 {
		p := Publication{Channel: schemas.Channel(fmt.Sprint("a:", i%100)), Topic: "b", Data: data}
		if _, err := r.shard.broker.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	sub := named("a:*")
	sub.Replay = ring.ReplayAll()
	so := r.open(sub)
	r.settleAll()
	for so.state != full {
		<-r.news // from the notifier, which lets it go on
		r.settleAll()
	}
	if n := so.cursor.ahead(); n > maxAhead {
		t.Errorf("%d bytes are kept", n)
	}
}
