//go:build linux

package broker

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSocket_idle_memory: an idle stream that a loop carries takes little of the heap.
// With many quiet streams, that is most of the memory of the process.
func TestSocket_idle_memory(t *testing.T) {
	const (
		streams  = 400
		most     = 576 // bytes a stream, with the text of its owner and its places in tables
		channel  = "room:12345"
		existing = 50 // streams that are there before, so that the tables have been made
	)
	r := newRig(t, Options{Heartbeat: time.Hour})
	r.shard.broker.say(t, channel)
	sub := named(channel)
	sub.Owner = Owner{Address: "127.0.0.1", RequestID: "0123456789abcdef"}
	fds := make([]int, 0, existing+streams)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	open := func() {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, ends[1])
		r.carry(sub, ends[0])
		r.settleAll()
	}
	for range existing {
		open()
	}
	before := heapInUse()
	for range streams {
		open()
	}
	r.shard.broker.say(t, channel)
	r.settleAll()
	for _, so := range r.sockets {
		if so != nil {
			r.addTask(so) // as if a heartbeat were due
			r.settleAll()
		}
	}
	got := (heapInUse() - before) / streams
	t.Logf("an idle stream takes %d bytes", got)
	if got > most {
		t.Errorf("that is more than %d", most)
	}
	for _, so := range r.sockets {
		if so != nil && so.group == nil {
			t.Fatal("a stream is not in its group")
		}
	}
}

// heapInUse returns how many bytes of the heap are in use.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held is free now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
