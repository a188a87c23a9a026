package broker_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
)

// source is how a client gets its events: from Next, or over a connection that a
// writer loop has taken over.
type source interface {
	// next returns whole events, at least one; io.EOF after $close.
	next(ctx context.Context) ([][]byte, error)
	close()
}

// pulled is a stream that is read with Next.
type pulled struct {
	stream *broker.Stream
	batch  broker.Batch
}

func (p *pulled) next(ctx context.Context) ([][]byte, error) {
	err := p.stream.Next(ctx, &p.batch)
	return withoutLive(p.batch.Events), err
}

// withoutLive leaves out $live, which stands between any two events of a stream, once.
func withoutLive(events [][]byte) [][]byte {
	return slices.DeleteFunc(slices.Clone(events), func(e []byte) bool {
		return bytes.Contains(e, []byte("event: $live\n")) || bytes.HasPrefix(e, []byte(`{"event":"$live"`))
	})
}

func (p *pulled) close() { p.stream.Close() }

// wire is the client's end of a connection that carries a stream.
type wire struct {
	conn   net.Conn
	tcp    *net.TCPConn // below it
	format ring.Format
	raw    []byte // received, and not taken apart yet
	got    []byte // of the body, and not returned yet
	ended  bool
	buffer [4096]byte
}

// wired opens a stream and gives it to a writer loop. With tiny buffers, a burst fills
// its socket.
func wired(b *broker.Broker, sub broker.Subscription, l line, tiny bool, done func(*broker.Stream, int64, error)) (*wire, *broker.Stream, error) {
	s, err := b.Subscribe(context.Background(), sub)
	if err != nil {
		return nil, nil, err
	}
	server, client := pair()
	if tiny {
		_ = server.SetWriteBuffer(1)
		_ = client.SetReadBuffer(8 << 10)
	}
	w := &wire{conn: client, tcp: client, format: sub.Format}
	if done == nil {
		done = func(*broker.Stream, int64, error) {}
	}
	over := broker.Takeover{Conn: server, Chunked: true, Done: done}
	w.conn = l.over(&over, client)
	if err := b.TakeOver(s, over); err != nil {
		s.Close()
		server.Close()
		client.Close()
		return nil, nil, err
	}
	return w, s, nil
}

// pair returns both ends of a TCP connection.
func pair() (server, client *net.TCPConn) {
	l := must(net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	defer l.Close()
	client = must(net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)))
	return must(l.AcceptTCP()), client
}

func (w *wire) next(ctx context.Context) ([][]byte, error) {
	_ = w.conn.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetReadDeadline(time.Now()) })
	defer stop()
	for {
		if whole := w.whole(); whole > 0 {
			events := split(w.format, bytes.Clone(w.got[:whole]))
			w.got = w.got[whole:]
			return withoutLive(events), nil
		}
		if w.ended {
			return nil, io.EOF
		}
		n, err := w.conn.Read(w.buffer[:])
		if n == 0 && err != nil {
			return nil, err
		}
		w.raw = append(w.raw, w.buffer[:n]...)
		w.dechunk()
	}
}

// dechunk takes whole chunks out of what was received.
func (w *wire) dechunk() {
	for {
		line, rest, found := bytes.Cut(w.raw, []byte("\r\n"))
		size, err := strconv.ParseUint(string(line), 16, 31)
		if !found || err != nil || len(rest) < int(size)+2 {
			return
		}
		w.got = append(w.got, rest[:size]...)
		w.raw = rest[size+2:]
		w.ended = size == 0
	}
}

func (w *wire) close() { w.conn.Close() }

// end returns what ends an event of the format.
func end(format ring.Format) []byte {
	if format == ring.NDJSON {
		return []byte("\n")
	}
	return []byte("\n\n")
}

// whole returns how many of the received bytes make up whole events.
func (w *wire) whole() int {
	if i := bytes.LastIndex(w.got, end(w.format)); i >= 0 {
		return i + len(end(w.format))
	}
	if bytes.HasSuffix(w.got, []byte(":\n")) && !bytes.Contains(w.got, []byte("id: ")) {
		return len(w.got) // nothing but heartbeats
	}
	return 0
}

func split(format ring.Format, whole []byte) [][]byte {
	parts := bytes.SplitAfter(whole, end(format))
	if last := len(parts) - 1; len(parts[last]) == 0 {
		parts = parts[:last]
	}
	return parts
}
