// Package front answers the simplest requests straight from their connections, at little
// more than the price of one read and one write, and hands all other connections to
// net/http.
//
// A connection is the front's as long as everything that comes over it is one request
// after the other that [parse] understands and the [Handler] answers. At anything else
// (another method, a header that it does not know, a body that is late or large, a name
// that is wrong) net/http gets the connection, together with the bytes that were read and
// not answered, and keeps it. So whatever can be seen to be wrong without an attempt, time
// limits and all other routes exist once.
package front

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/door"
)

const (
	// bufferSize is the length of the longest request that is answered here, in bytes.
	bufferSize = 8 << 10
	// restTime is how long the rest of a request may take whose beginning was read.
	restTime = 100 * time.Millisecond
	// blankBytes is how many CRs and LFs may follow a body: old clients send some. It is
	// the number that net/http ignores.
	blankBytes = 4
)

// Handler answers requests.
type Handler interface {
	// Answer does what r asks for and appends the whole answer to out. It must not keep r.
	// The context ends when the front is closed; no answer is sent then.
	Answer(ctx context.Context, r *Request, out []byte) (answer []byte, o Outcome)
}

// Outcome is what has become of a request.
type Outcome int

// Outcomes.
const (
	Declined Outcome = iota // nothing was done, so that net/http can do the same request
	Answered                // the answer is to be sent, and others may follow
	Ended                   // the answer is to be sent, and the connection closed
	Taken                   // the handler has the connection and closes it; there is no answer
)

// Options are what a front needs. All of them are required.
type Options struct {
	Door    *door.Door
	Handler Handler
	Log     *slog.Logger
	// FirstRequest is how long a new connection may send nothing. Idle is how long one may
	// do so after an answer, and how long the client may take to accept one; both end an
	// eighth of it later at the latest.
	FirstRequest, Idle time.Duration
}

// Front is between a listener and an [http.Server].
type Front struct {
	Options

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	memories sync.Pool // of *memory
	serving  sync.WaitGroup
	stopping atomic.Bool // no more is read

	mu    sync.Mutex
	conns map[*door.Conn]struct{} // guarded by mu; those that are the front's. None is added once stopping
}

// New returns a front. The caller must close it.
func New(o Options) *Front {
	f := &Front{Options: o, conns: make(map[*door.Conn]struct{})}
	f.memories.New = func() any { return new(memory) }
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Shutdown answers what has arrived, and then closes the connections or, if half a request
// has arrived, hands them over. It waits for this until ctx ends, and returns its error
// then. New connections are all net/http's from now on, so that one is shut down after it.
func (f *Front) Shutdown(ctx context.Context) error {
	f.stop(func(c *door.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }) // ends the wait for a request
	done := make(chan struct{})
	go func() { // ends with the last connection, which Close ends
		f.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes all connections of the front and waits for their requests to end. Its
// listeners must be closed before.
func (f *Front) Close() {
	f.cancel()
	f.stop(func(c *door.Conn) { c.Close() })
	f.serving.Wait()
}

// stop calls end for each connection, after which there are no new ones.
func (f *Front) stop(end func(*door.Conn)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopping.Store(true)
	for c := range f.conns {
		end(c)
	}
}

// Listener returns the listener for net/http: it accepts the connections of l that are not
// the front's, or no longer. It closes l when it is closed.
func (f *Front) Listener(l net.Listener) net.Listener {
	h := &handover{
		Listener: f.Door.Listener(l), front: f,
		conns: make(chan net.Conn), failures: make(chan error), closed: make(chan struct{}),
	}
	go h.accept() // ends with the listener
	return h
}

// handover is the listener for net/http.
type handover struct {
	net.Listener

	front    *Front
	conns    chan net.Conn
	failures chan error    // of accepting; net/http decides whether to go on
	closed   chan struct{} // closed by Close
	closing  sync.Once
}

// accept accepts connections until the listener is closed.
func (h *handover) accept() {
	for {
		conn, err := h.Listener.Accept()
		if err != nil {
			select {
			case h.failures <- err:
				continue
			case <-h.closed:
				return
			}
		}
		c := door.Of(conn)
		if c.Reserved() || !h.front.add(c) {
			go h.give(c, nil) // ends when net/http has taken it
			continue
		}
		go h.serveDeep(c) // ends with the connection, or when net/http has taken it
	}
}

// serveDeep is serve on a stack that is large enough for most requests. Grown step by step
// from within them, it would cost as much as what they do.
func (h *handover) serveDeep(c *door.Conn) {
	growStack(0)
	h.serve(c)
}

// growStack needs more stack than a new goroutine has.
//
//go:noinline
func growStack(i int) byte {
	var b [5 << 10]byte
	return b[i]
}

// Accept implements [net.Listener].
func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case err := <-h.failures:
		return nil, err
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (h *handover) Close() error {
	h.closing.Do(func() { close(h.closed) })
	return h.Listener.Close()
}

// give gives net/http a connection, and what was read of it and not answered.
func (h *handover) give(c *door.Conn, unread []byte) {
	select {
	case h.conns <- &givenConn{c, unread}:
	case <-h.closed:
		h.front.drop(c)
	}
}

// givenConn is a connection of which something was read.
type givenConn struct {
	*door.Conn

	unread []byte
}

// NetConn returns the door's own of the connection.
func (c *givenConn) NetConn() net.Conn { return c.Conn }

// Read implements [net.Conn].
func (c *givenConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) == 0 {
		c.unread = nil
	}
	return n, nil
}

// add makes c one of the front's, unless that is about to end.
func (f *Front) add(c *door.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopping.Load() {
		return false
	}
	f.conns[c] = struct{}{}
	f.serving.Add(1)
	return true
}

// drop closes a connection that net/http does not get.
func (f *Front) drop(c *door.Conn) {
	f.Door.State(c, http.StateClosed)
	c.Close()
}

// memory is what a connection needs while it is the front's.
type memory struct {
	request Request
	in      [bufferSize]byte
	out     [1 << 10]byte
}

// serve answers the requests of c until one is for net/http, or the connection ends.
func (h *handover) serve(c *door.Conn) {
	defer h.front.serving.Done()
	m, _ := h.front.memories.Get().(*memory)
	unread, taken := h.front.answer(c, m)
	unread = append([]byte(nil), unread...)
	m.request = Request{}
	h.front.memories.Put(m)
	h.front.mu.Lock()
	delete(h.front.conns, c)
	h.front.mu.Unlock()
	switch {
	case taken:
		h.front.Door.State(c, http.StateHijacked)
	case len(unread) == 0:
		h.front.drop(c)
	default:
		_ = c.SetDeadline(time.Time{})
		h.give(c, unread)
	}
}

// answer answers the requests of c. It returns what it has read and not answered if the
// connection is for net/http, and nothing if it is to be closed, or the handler has taken it.
func (f *Front) answer(c *door.Conn, m *memory) (unread []byte, taken bool) {
	defer func() { // as net/http does it
		if v := recover(); v != nil {
			f.Log.Error("panic", slog.Any("error", v), slog.String("stack", string(debug.Stack())))
			unread, taken = nil, false
		}
	}()
	var (
		r      = &m.request
		b      []byte    // what was read and not answered, a part of m.in
		blank  int       // how many CRs and LFs may come now
		waited bool      // for the rest of this request
		until  time.Time // the deadline after the first answer
	)
	*r = Request{Conn: c, Remote: c.RemoteAddr().String()}
	_ = c.SetReadDeadline(time.Now().Add(f.FirstRequest))
	for {
		for ; blank > 0 && len(b) > 0 && (b[0] == '\r' || b[0] == '\n'); blank-- {
			b = b[1:]
		}
		n, v := parse(b, r)
		last := waited || n > bufferSize || len(b) == bufferSize || f.stopping.Load()
		if v == other || v == incomplete && last {
			return b, false
		}
		if v == incomplete {
			if waited = len(b) > 0; waited {
				_ = c.SetReadDeadline(time.Now().Add(restTime))
			}
			copy(m.in[:], b)
			got, err := c.Read(m.in[len(b):])
			if b = m.in[:len(b)+got]; err != nil {
				return b, false
			}
			continue
		}
		f.Door.State(c, http.StateActive)
		answer, o := f.Handler.Answer(f.ctx, r, m.out[:0])
		switch o {
		case Declined:
			return b, false
		case Taken:
			return nil, true
		case Answered, Ended:
		}
		if now := time.Now(); waited || until.Sub(now) < f.Idle {
			// Setting a deadline costs as much as the rest of this loop, so this one lasts
			// for many answers. It is set before the answer, which may have taken long.
			waited, until = false, now.Add(f.Idle+f.Idle/8)
			_ = c.SetDeadline(until)
		}
		if _, err := c.Write(answer); err != nil || o == Ended {
			return nil, false
		}
		f.Door.State(c, http.StateIdle)
		b, blank = b[n:], blankBytes
	}
}
