package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
)

// fate is how a stream that was taken over has ended.
type fate struct {
	sent     int64
	messages int64
	err      error
}

// take opens a stream over a connection.
func take(t *testing.T, b *broker.Broker, sub broker.Subscription, l line, tiny bool) (*wire, *broker.Stream, <-chan fate) {
	t.Helper()
	ended := make(chan fate, 2) // a second one would be a fault
	w, s, err := wired(b, sub, l, tiny, func(s *broker.Stream, sent int64, err error) { ended <- fate{sent, s.Messages(), err} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w, s, ended
}

// await returns what comes out of a channel.
func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patient):
		t.Fatalf("%s: it does not come", what)
		panic("unreachable")
	}
}

// until reads events until one has the text.
func (w *wire) until(t *testing.T, text string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	var all []byte
	for !bytes.Contains(all, []byte(text)) {
		events, err := w.next(ctx)
		if err != nil {
			t.Fatalf("no %q: %v after %q", text, err, all)
		}
		all = append(all, bytes.Join(events, nil)...)
	}
	return all
}

// TestTakeOver_plain: a loop sends the same bytes as Next returns.
func TestTakeOver_plain(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{})
		w, _, err := wired(b, asking("a:1"), l, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		var got []byte
		for i := range 100 {
			publish(t, b, "a:1", "status", "1")
			for bytes.Count(got, []byte("event: status")) <= i {
				events, err := w.next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, bytes.Join(events, nil)...)
			}
		}
		r := subscribe(t, b, resuming(asking("a:1"), 0))
		if err := r.Next(t.Context(), &r.batch); err != nil {
			t.Fatal(err)
		}
		want := bytes.Join(withoutLive(r.batch.Events)[1:], nil)
		if _, messages, _ := bytes.Cut(got, []byte("\n\n")); !bytes.Equal(messages, want) {
			t.Errorf("got %s, want %s", messages, want)
		}
	})
}

// TestTakeOver_noGap: a thousand readers whose sockets accept data miss nothing,
// however short the ring is and however fast four publishers are. The publishers are
// held back instead.
func TestTakeOver_noGap(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 8, Bytes: 1000}, BacklogBytes: 4000, PublishTimeout: patient})
		var reading sync.WaitGroup
		flood := newFlood(30)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for i := range sockets(t, 1000) {
			sub := flood.subscription(i)
			w, _, _ := take(t, b, sub, l, false)
			reading.Go(func() {
				defer w.close()
				if err := flood.check(ctx, w, sub); err != nil {
					t.Errorf("reader %d: %v", i, err)
				}
			})
		}
		flood.publish(t, b)
		reading.Wait()
		if s := b.Stats(); s.Waits == 0 || len(s.Gaps) > 0 && s.Gaps["overrun"] > 0 {
			t.Errorf("nobody was held back, or there were gaps: %+v", s)
		}
	})
}

// sockets returns how many pairs of sockets there can be, at most n.
func sockets(t *testing.T, n int) int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil { // Go has raised it as far as it may
		t.Fatal(err)
	}
	return min(n, int(limit.Cur)/2-100)
}

// TestTakeOver_endings: whatever ends a stream, its body is complete and the connection is closed
// in order, even if the client has sent something that nobody reads.
func TestTakeOver_endings(t *testing.T) {
	tests := []struct {
		name   string
		opts   broker.Options
		owner  func() broker.Owner
		list   []string
		end    func(b *broker.Broker, s *broker.Stream)
		code   string
		chatty bool
	}{
		{name: "ended", end: func(_ *broker.Broker, s *broker.Stream) { s.End(broker.Disconnected()) }, code: "4403"},
		{name: "ended, and the client has sent more", end: func(_ *broker.Broker, s *broker.Stream) { s.End(broker.Disconnected()) }, code: "4403", chatty: true},
		{name: "ended, of two channels", list: []string{"a", "b"}, end: func(_ *broker.Broker, s *broker.Stream) { s.End(broker.TokenRevoked()) }, code: "4401"},
		{name: "expired", owner: func() broker.Owner { return broker.Owner{ExpiresAt: time.Now().Add(100 * time.Millisecond)} }, code: "4001"},
		{name: "too old", opts: broker.Options{MaxStreamAge: 100 * time.Millisecond}, code: "4004"},
		{name: "drained", end: func(b *broker.Broker, _ *broker.Stream) { _ = b.Drain(context.Background(), 0) }, code: "4002"},
		{name: "closed", end: func(b *broker.Broker, _ *broker.Stream) { _ = b.Close() }, code: "4002"},
		{name: "its channel deleted", end: func(b *broker.Broker, _ *broker.Stream) { _ = b.Delete(t.Context(), "a") }, code: "4410"},
		{name: "one of its channels deleted", list: []string{"a", "b"}, end: func(b *broker.Broker, _ *broker.Stream) { _ = b.Delete(t.Context(), "a") }, code: "4410"},
	}
	for _, tt := range tests {
		for _, how := range []struct {
			chunked bool
			line    line
		}{{true, bare}, {false, bare}, {true, line(tls.TLS_AES_256_GCM_SHA384)}, {false, line(tls.TLS_CHACHA20_POLY1305_SHA256)}} {
			if tt.chatty && how.line != bare {
				continue // see TestTakeOver_input
			}
			t.Run(fmt.Sprint(tt.name, "/", how), func(t *testing.T) {
				b := start(t, tt.opts)
				publish(t, b, "a", "status", "1")
				if tt.list == nil {
					tt.list = []string{"a"}
				}
				sub := replaying(asking(tt.list...), "1")
				if tt.owner != nil {
					sub.Owner = tt.owner()
				}
				s := must(b.Subscribe(t.Context(), sub))
				server, tcp := pair()
				defer tcp.Close()
				ended := make(chan fate, 2)
				head := "HTTP/1.1 200 OK\r\n\r\n"
				over := broker.Takeover{Conn: server, Chunked: how.chunked, Head: []byte(head), Done: func(s *broker.Stream, sent int64, err error) {
					ended <- fate{sent, s.Messages(), err}
				}}
				client := how.line.over(&over, tcp)
				if err := b.TakeOver(s, over); err != nil {
					t.Fatal(err)
				}
				_ = client.SetReadDeadline(time.Now().Add(patient))
				var all []byte
				messages := int64(1)
				if tt.end != nil {
					all = readUntil(t, client, "event: status")
				}
				if tt.chatty {
					_, _ = client.Write([]byte("GET /more HTTP/1.1\r\n\r\n"))
				}
				if tt.end != nil {
					tt.end(b, s)
				}
				tail, err := io.ReadAll(client)
				if err != nil {
					t.Errorf("the connection ends with %v", err)
				}
				all = append(all, tail...)
				if tt.end == nil && !bytes.Contains(all, []byte("event: status")) {
					messages = 0 // on a slow machine the time is over before the message is sent
				}
				checkBody(t, all, head, how.chunked, tt.code, int(messages))
				f := await(t, "its end", ended)
				if !errors.Is(f.err, io.EOF) || f.sent < int64(len(all)) || how.line == bare && f.sent != int64(len(all)) || f.messages != messages {
					t.Errorf("it ended with %+v after %d bytes", f, len(all))
				}
				_ = b.Close()
				if got := b.Stats(); got.Delivered != messages || got.DeliveredBytes != f.sent || got.Streams != 0 || len(ended) > 0 {
					t.Errorf("%+v, and %d more ends were reported", got, len(ended))
				}
			})
		}
	}
}

func readUntil(t *testing.T, conn net.Conn, text string) (all []byte) {
	t.Helper()
	for buffer := make([]byte, 4096); !bytes.Contains(all, []byte(text)); {
		n, err := conn.Read(buffer)
		all = append(all, buffer[:n]...)
		if err != nil {
			t.Fatalf("no %q: %v after %q", text, err, all)
		}
	}
	return all
}

// checkBody checks a response's head, its coding, how often it has the message status@1, and
// the code of the $close that ends it.
func checkBody(t *testing.T, all []byte, head string, chunked bool, code string, messages int) {
	t.Helper()
	body, found := bytes.CutPrefix(all, []byte(head))
	if !found {
		t.Errorf("it begins with %q", all[:min(len(all), 40)])
	}
	if chunked {
		rest := bytes.NewReader(body)
		var err error
		if body, err = io.ReadAll(httputil.NewChunkedReader(rest)); err != nil {
			t.Errorf("the body ends with %v", err)
		}
	}
	events, _, err := read(ring.SSE, bytes.TrimSuffix(body, []byte("\r\n")))
	if got := brief(events); err != nil || !strings.HasSuffix(got, "["+code+"]") || strings.Count(got, "$open") != 1 || strings.Count(got, "status@1") != messages {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestTakeOver_hangUp: the loop notices that a client has gone even if nothing is
// published.
func TestTakeOver_hangUp(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		for _, tt := range []struct {
			name string
			list []string
			away func(*net.TCPConn)
		}{
			{"closed", []string{"a"}, func(c *net.TCPConn) { _ = c.Close() }},
			{"closed, of two channels", []string{"a", "b"}, func(c *net.TCPConn) { _ = c.Close() }},
			{"reset", []string{"a"}, func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }},
			{"one half closed", []string{"a"}, func(c *net.TCPConn) { _ = c.CloseWrite() }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b := start(t, broker.Options{Heartbeat: time.Hour})
				publish(t, b, "a", "status", "1")
				w, _, ended := take(t, b, asking(tt.list...), l, false)
				w.until(t, "$open")
				tt.away(w.tcp)
				if f := await(t, "its end", ended); f.err == nil || errors.Is(f.err, io.EOF) {
					t.Errorf("it ended with %v", f.err)
				}
				if n := b.Stats().Streams; n != 0 {
					t.Errorf("%d streams are left", n)
				}
			})
		}
	})
}

// TestTakeOver_heartbeat: quiet streams of every kind are kept alive, and one that
// leaves messages out is told its position.
func TestTakeOver_heartbeat(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		for _, tt := range []struct {
			name, list string
			format     ring.Format
			want       string
		}{
			{"one channel", "a", ring.SSE, ":\n"},
			{"two channels", "a b", ring.SSE, ":\n"},
			{"a channel that is not there", "c", ring.SSE, ":\n"},
			{"lines", "a", ring.NDJSON, "\n\n"},
			{"topics", "a/other", ring.SSE, "id: k-2\nevent: $position\n"},
			{"topics of two channels", "a/other b", ring.SSE, "id: k-2\nevent: $position\n"},
			{"topics, as lines", "a/other", ring.NDJSON, `"$position","data":{"id":"k-2"}`},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b := start(t, broker.Options{Heartbeat: 100 * time.Millisecond})
				publish(t, b, "a", "status", "1")
				sub := asking(strings.Fields(tt.list)...)
				sub.Format = tt.format
				w, _, _ := take(t, b, sub, l, false)
				_ = w.conn.SetReadDeadline(time.Now().Add(patient))
				readUntil(t, w.conn, "$open")
				publish(t, b, "a", "status", "1")
				var all []byte
				var plain string
				for beats := 0; beats < 2 || !strings.Contains(plain, tt.want); { // it goes on
					buffer := make([]byte, 4096)
					n, err := w.conn.Read(buffer)
					if err != nil {
						t.Fatalf("%v after %q, want %q", err, all, tt.want)
					}
					all = append(all, buffer[:n]...)
					beats = strings.Count(string(all), "\r\n:\n\r\n") + strings.Count(string(all), "\r\n\n\r\n")
					plain = strings.NewReplacer("1\r\n\n\r\n", "\n\n", "2\r\n:\n\r\n", ":\n").Replace(string(all))
				}
				if strings.Count(plain, "$position") > 1 {
					t.Errorf("got %q, want %q", plain, tt.want)
				}
			})
		}
	})
}

// TestBroker_Close_takenOver: streams of every kind get $close, and each ends once.
func TestBroker_Close_takenOver(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{})
		publish(t, b, "a", "status", "1")
		const each = 20
		var wires []*wire
		ended := make(chan error, 10*each)
		for i := range 4 * each {
			list := [][]string{{"a"}, {"a", "b"}, {"a*"}, {"c"}}[i%4]
			w, _, err := wired(b, asking(list...), l, false, func(_ *broker.Stream, _ int64, err error) { ended <- err })
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			if i%8 < 4 {
				w.until(t, "$open") // the others have not been looked at, maybe
			}
			wires = append(wires, w)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if len(ended) != len(wires) || b.Stats().Streams != 0 {
			t.Fatalf("%d of %d streams have ended when Close returns, %d are left", len(ended), len(wires), b.Stats().Streams)
		}
		for i, w := range wires {
			w.until(t, "$close")
			if _, err := w.next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("stream %d ends with %v", i, err)
			}
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("a stream ended with %v", err)
			}
		}
	})
}

// TestTakeOver_refused: if a loop refuses a stream, the connection is closed and the caller keeps
// the stream.
func TestTakeOver_refused(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts broker.Options
		end  func(*broker.Broker)
		conn func(net.Conn) net.Conn
	}{
		{"no loops", broker.Options{Loops: -1}, func(*broker.Broker) {}, nil},
		{"closed before the first", broker.Options{}, func(b *broker.Broker) { _ = b.Close() }, nil},
		{"no descriptor", broker.Options{}, func(*broker.Broker) {}, func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, tt.opts)
			s := must(b.Subscribe(t.Context(), asking("a")))
			server, client := pair()
			defer client.Close()
			tt.end(b)
			conn := net.Conn(server)
			if tt.conn != nil {
				conn = tt.conn(conn)
			}
			err := b.TakeOver(s, broker.Takeover{Conn: conn, Done: func(*broker.Stream, int64, error) { t.Error("done") }})
			if err == nil {
				t.Error("taken over")
			}
			if _, err := server.Write(nil); err != nil {
				t.Errorf("the connection is closed: %v", err)
			}
			server.Close()
			_ = client.SetReadDeadline(time.Now().Add(patient))
			if all, err := io.ReadAll(client); err != nil || len(all) > 0 {
				t.Errorf("the client got %q, %v", all, err)
			}
			if n := b.Stats().Streams; n != 1 {
				t.Errorf("%d streams", n)
			}
			s.Close()
		})
	}
}
