package broker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
)

// descriptors returns how many descriptors this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// long is a message of 1 KB.
func long() string { return `"` + strings.Repeat("x", 1000) + `"` }

// burst publishes n long messages and waits until w, which must not miss one, has
// got them all.
func burst(t *testing.T, b *broker.Broker, w *wire, n int) {
	t.Helper()
	last := uint64(0)
	for range n {
		last = publish(t, b, "a", "status", long())
	}
	got := w.until(t, "id: k-"+strconv.FormatUint(last, 10)+"\n")
	if events := bytes.Count(got, []byte("event: ")); events != n || bytes.Contains(got, []byte("$gap")) {
		t.Fatalf("a reader that reads got %d events of %d, up to %d", events, n, last)
	}
}

// TestTakeOver_stalled: a reader that reads nothing holds nobody back, although only
// its own timeout, which is far away, ends it. When it reads again, it is told what it
// has missed and gets everything that comes after.
func TestTakeOver_stalled(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{
			Replay: engine.Limits{Messages: 8, Bytes: 8 << 10}, BacklogBytes: 64 << 10, WriteTimeout: time.Hour, PublishTimeout: patient,
		})
		stalled, _, ended := take(t, b, asking("a"), l, true)
		well, _, _ := take(t, b, asking("a"), l, false)
		stalled.until(t, "$open")
		well.until(t, "$open")
		const bursts, each = 200, 50 // a burst fits into the socket of one that reads
		for range each {             // they have caught up, and are served in sweeps
			burst(t, b, well, 1)
			stalled.until(t, "event: status")
		}
		for range bursts - 1 {
			burst(t, b, well, each)
		}
		if s := b.Stats(); s.Waits > bursts*each/10 || s.LogBytes > 128<<10 || s.Streams != 2 {
			t.Errorf("%+v", s)
		}
		checkResumed(t, stalled, each+1, bursts*each)
		burst(t, b, well, each)
		checkNext(t, stalled, bursts*each, bursts*each+each)
		if len(ended) > 0 {
			t.Errorf("it ended: %+v", <-ended)
		}
	})
}

// checkResumed reads the positions from next to last: each one, except for gaps that it
// is told of. There must be a gap.
func checkResumed(t *testing.T, w *wire, next, last uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	gaps := 0
	for next <= last {
		raw, err := w.next(ctx)
		if err != nil {
			t.Fatalf("after %d: %v", next-1, err)
		}
		events, _, err := read(ring.SSE, bytes.Join(raw, nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.name == "$gap" {
				gaps++
				next, _ = strconv.ParseUint(member([]byte(e.data), `"resumes_at":"k-`), 10, 64)
				continue
			}
			if got := strings.TrimPrefix(e.id, "k-"); got != strconv.FormatUint(next, 10) {
				t.Fatalf("got %s, want %d, after %d gaps in %.300s", got, next, gaps, brief(events))
			}
			next++
		}
	}
	if gaps == 0 {
		t.Error("it was told of no gap: it did not stall")
	}
}

// checkNext reads the messages after one position up to another.
func checkNext(t *testing.T, w *wire, after, last uint64) {
	t.Helper()
	got := w.until(t, "id: k-"+strconv.FormatUint(last, 10)+"\n")
	if n := bytes.Count(got, []byte("event: status\n")); n != int(last-after) || bytes.Contains(got, []byte("$gap")) {
		t.Errorf("got %d messages, want %d, from %q", n, last-after, got[:min(len(got), 60)])
	}
}

// TestTakeOver_cut: a client that accepts too little is cut off after the write timeout, and
// leaves nothing behind.
func TestTakeOver_cut(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		tests := []struct {
			name string
			list []string
			data int // bytes of a message
			live func(t *testing.T, client *net.TCPConn, ended <-chan fate) fate
		}{
			{"reads nothing", []string{"a"}, 1000, readNothing},
			{"reads nothing, of two channels", []string{"a", "b"}, 1000, readNothing},
			{"reads nothing, of long messages", []string{"a"}, 50_000, readNothing},
			{"reads a byte now and then", []string{"a"}, 50_000, trickle(1, 5*time.Millisecond)},
			{"reads too slowly", []string{"a"}, 50_000, trickle(1024, 60*time.Millisecond)}, // 10 KB in the time in which it must read 16
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				b := start(t, broker.Options{
					Replay: engine.Limits{Messages: 8}, BacklogBytes: 64 << 10, WriteTimeout: 600 * time.Millisecond, PublishTimeout: patient, Heartbeat: time.Hour,
				})
				well, _, _ := take(t, b, asking("other"), l, false)
				well.until(t, "$open")
				before := descriptors(t)
				w, _, ended := take(t, b, asking(tt.list...), l, true)
				w.until(t, "$open")
				for range 500_000 / tt.data {
					publish(t, b, "a", "status", `"`+strings.Repeat("x", tt.data)+`"`)
				}
				f := tt.live(t, w.tcp, ended)
				if !errors.Is(f.err, os.ErrDeadlineExceeded) {
					t.Errorf("it ended with %+v", f)
				}
				w.close()
				if after := descriptors(t); after != before {
					t.Errorf("%d descriptors, %d before", after, before)
				}
				if n := b.Stats().Streams; n != 1 {
					t.Errorf("%d streams", n)
				}
				publish(t, b, "other", "status", "1")
				well.until(t, "event: status")
			})
		}
	})
}

func readNothing(t *testing.T, _ *net.TCPConn, ended <-chan fate) fate {
	return await(t, "its end", ended)
}

// trickle reads n bytes at a time until the stream has ended.
func trickle(n int, every time.Duration) func(*testing.T, *net.TCPConn, <-chan fate) fate {
	return func(t *testing.T, client *net.TCPConn, ended <-chan fate) fate {
		tick := time.NewTicker(every)
		defer tick.Stop()
		late := time.After(patient)
		for {
			select {
			case f := <-ended:
				return f
			case <-late:
				t.Fatal("it is served forever")
			case <-tick.C:
				_ = client.SetReadDeadline(time.Now().Add(every))
				_, _ = io.ReadFull(client, make([]byte, n)) // it fails once the stream is cut
			}
		}
	}
}

// TestTakeOver_halfOpen: a client whose machine has disappeared acknowledges nothing,
// even if everything fits into the socket's buffer.
func TestTakeOver_halfOpen(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{WriteTimeout: 300 * time.Millisecond, Heartbeat: time.Hour})
		w, _, ended := take(t, b, asking("a"), l, false)
		w.until(t, "$open")
		deafen(t, w.tcp)
		began := time.Now()
		publish(t, b, "a", "status", "1")
		f := await(t, "its end", ended)
		if !errors.Is(f.err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %+v", f)
		}
		if took := time.Since(began); took < 200*time.Millisecond {
			t.Errorf("it ended after %v", took)
		}
		if n := b.Stats().Streams; n != 0 {
			t.Errorf("%d streams", n)
		}
	})
}

// deafen makes a socket drop every incoming packet, as if it did not exist.
func deafen(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw := must(conn.SyscallConn())
	var failed error
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// TestTakeOver_doesNotHangUp: the server does not wait long for a client that does not hang up
// after $close.
func TestTakeOver_doesNotHangUp(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{Loops: 1})
		first, _, _ := take(t, b, asking("other"), l, false)
		first.until(t, "$open")
		before := descriptors(t)
		w, s, ended := take(t, b, asking("a"), l, false)
		w.until(t, "$open")
		s.End(broker.Disconnected())
		if f := await(t, "its end", ended); !errors.Is(f.err, io.EOF) {
			t.Errorf("it ended with %+v", f)
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for late := time.After(patient); descriptors(t) != before+1; { // the client's own
			select {
			case <-late:
				t.Fatalf("%d descriptors, %d before", descriptors(t), before)
			case <-tick.C:
			}
		}
		w.until(t, "$close")
	})
}
