package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestSoak lets readers come and go for SLUICE_SOAK, four seconds by default: each
// stays for a while, leaves without a word and comes back with its last id. None
// may miss a message or get one twice, and the server must not grow. With
// SLUICE_SOAK set there are 5,000 readers, and figures are logged once a minute.
func TestSoak(t *testing.T) {
	s := start(t, "--log-level=error")
	soaked(t, s, 5000, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.address())
	})
}

// TestSoak_tls is TestSoak over TLS 1.3, whose readers resume their sessions. With
// SLUICE_SOAK set there are 2,000 of them.
func TestSoak_tls(t *testing.T) {
	s, _, roots := secure(t, "--log-level=error", "--http2=false")
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
	soaked(t, s, 2000, func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", s.address()) })
}

// soaked lets readers that connect by dial come and go.
func soaked(t *testing.T, s *server, readers int, dial func(context.Context) (net.Conn, error)) {
	long := 4 * time.Second
	if text := os.Getenv("SLUICE_SOAK"); text == "" {
		readers = 300
	} else {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	k := &soak{server: s, dial: dial, channels: 50, readers: readers, stay: min(20*time.Second, long/4)}
	var running sync.WaitGroup
	running.Go(func() { k.publish(ctx, t) })
	for i := range readers {
		running.Go(func() { k.read(ctx, i%k.channels) })
	}
	k.observe(ctx, t, long)
	stop()
	running.Wait()
	t.Logf("%d messages received, readers came back %d times, were too slow to ask %d times, and to read %d times", k.received.Load(), k.returned.Load(), k.tooSlow.Load(), k.cut.Load())
	if k.received.Load() == 0 || k.returned.Load() == 0 {
		t.Error("nothing was received, or nobody came back")
	}
	if fault := k.fault.Load(); fault != nil {
		t.Error(*fault)
	}
	// The server says of each stream that it has cut why. On a machine that is busy with other
	// things, a reader may have read nothing for as long as the server waits.
	if cut := k.cut.Load(); cut > 0 {
		if told := s.metric(t, `sluice_streams_finished_total\{reason="slow_consumer"\}`); told < float64(cut) {
			t.Errorf("%d streams were cut off, %.0f of them because their readers were too slow", cut, told)
		}
	}
}

// soak is what all readers share.
type soak struct {
	server   *server
	dial     func(context.Context) (net.Conn, error)
	channels int
	readers  int
	stay     time.Duration // at most
	received atomic.Int64
	returned atomic.Int64
	tooSlow  atomic.Int64           // how often a reader did not ask before the server gave it up
	cut      atomic.Int64           // how often the server gave a reader up in the middle
	fault    atomic.Pointer[string] // the first one
}

func (k *soak) failed(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	k.fault.CompareAndSwap(nil, &text)
}

// publish sends numbers, one channel after the other, in each channel without a
// hole: how a reader sees that it has missed one.
func (k *soak) publish(ctx context.Context, t *testing.T) {
	c := k.server.client(t)
	defer c.CloseIdleConnections()
	for n := 0; ctx.Err() == nil; n++ {
		path := fmt.Sprintf("%s/v1/publish/soak:%d/t", k.server.url, n%k.channels)
		if status := call(t, c, k.server.key, "POST", path, strconv.Itoa(n/k.channels), nil); status != 201 {
			k.failed("publish: %d", status)
			return
		}
		wait(ctx, 4*time.Millisecond)
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// read is the life of one reader.
func (k *soak) read(ctx context.Context, channel int) {
	last, next := "", -1
	wait(ctx, time.Duration(rand.Int64N(int64(k.stay)))) // all at once, some would be too slow to ask before the server gives up
	for ctx.Err() == nil && k.fault.Load() == nil {
		stay := time.Duration(rand.Int64N(int64(k.stay)))
		if err := k.visit(ctx, channel, stay, &last, &next); err != nil && ctx.Err() == nil {
			k.failed("channel %d: %v", channel, err)
		}
		k.returned.Add(1)
		wait(ctx, time.Duration(rand.Int64N(int64(time.Second))))
	}
}

// visit reads for a while over a connection of its own.
func (k *soak) visit(ctx context.Context, channel int, stay time.Duration, last *string, next *int) error {
	conn, err := k.dial(ctx)
	if givenUp(err) {
		k.tooSlow.Add(1)
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	end := context.AfterFunc(ctx, func() { conn.Close() })
	defer end()
	_ = conn.SetDeadline(time.Now().Add(stay + patience))
	fmt.Fprintf(conn, "GET /v1/subscribe?channel=soak:%d HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nLast-Event-ID: %s\r\n\r\n",
		channel, k.server.address(), k.server.key, *last)
	in := bufio.NewReaderSize(conn, 512)
	id, asked := "", time.Now()
	for lines := 0; time.Since(asked) < stay; lines++ {
		line, err := in.ReadString('\n')
		if lines == 0 && givenUp(err) {
			k.tooSlow.Add(1)
			return nil
		}
		if givenUp(err) && ctx.Err() == nil {
			k.cut.Add(1)
			return nil // and comes back
		}
		if err != nil {
			return fmt.Errorf("after %d lines and %v: %w", lines, time.Since(asked), err)
		}
		switch name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": "); name {
		case "id":
			id = value
		case "event":
			if value == "$gap" {
				return fmt.Errorf("a gap at %s", id)
			}
		case "data":
			*last = id
			if _, text, found := strings.Cut(value, `"data":`); found {
				number, _, _ := strings.Cut(text, ",")
				n, err := strconv.Atoi(number)
				if err != nil || *next >= 0 && n != *next {
					return fmt.Errorf("got %s, want %d", value, *next)
				}
				*next = n + 1
				k.received.Add(1)
			}
		}
	}
	return nil
}

// givenUp reports whether err is that of a connection which the server has closed, as it
// does when a client is too slow to ask or to read.
func givenUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// observe holds what the server ordinarily takes in the second half of the time against
// the first. On a slow machine, the first half lasts until every reader may have come once.
func (k *soak) observe(ctx context.Context, t *testing.T, long time.Duration) {
	taken := [2]map[string][]float64{{}, {}}
	began, told := time.Now(), time.Now()
	half, ends := 0, began.Add(long/2)
	for ctx.Err() == nil && k.fault.Load() == nil {
		wait(ctx, min(time.Second, long/16))
		if now := time.Now(); now.After(ends) {
			if half == 1 {
				break
			}
			if k.returned.Load() >= int64(k.readers) && k.received.Load() > 0 || now.After(began.Add(long/2+patience)) {
				half, ends = 1, now.Add(long/2)
			}
		}
		var figures []string
		for _, name := range []string{"process_resident_memory_bytes", "process_open_fds", "go_goroutines", "sluice_streams"} {
			v := k.server.metric(t, name)
			taken[half][name] = append(taken[half][name], v)
			figures = append(figures, fmt.Sprintf("%s %.0f", name, v))
		}
		if time.Since(told) > time.Minute {
			told = time.Now()
			t.Log(time.Since(began).Round(time.Second), strings.Join(figures, ", "), "received", k.received.Load(), "returned", k.returned.Load())
		}
	}
	for name := range taken[1] {
		first, second := median(taken[0][name]), median(taken[1][name])
		t.Logf("%s: %.0f, then %.0f; at most %.0f", name, first, second, slices.Max(slices.Concat(taken[0][name], taken[1][name])))
		if second > 1.25*first+200 && (name != "process_resident_memory_bytes" || second > first+16<<20) {
			t.Errorf("%s grew from %.0f to %.0f", name, first, second)
		}
	}
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }
