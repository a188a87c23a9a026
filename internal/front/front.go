// Package front answers the simplest requests straight from their connections, at little
// more than the price of one read and one write, and hands all other connections to
// net/http.
//
// It knows only how to say yes. A connection is the front's as long as everything that
// comes over it is one request after the other that [parse] understands and the [Handler]
// answers. At anything else (another method, a query, a header that it does not know, a
// body that is late or large, a refusal) net/http gets the connection, together with the
// bytes that were read and not answered, and keeps it. So refusals, time limits and all
// other routes exist once.
package front

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/door"
)

const (
	// bufferSize is the length of the longest request that is answered here, in bytes.
	bufferSize = 8 << 10
	// secondRead is how long the rest of a request may take whose beginning was read.
	secondRead = 100 * time.Millisecond
)

// Handler answers requests.
type Handler interface {
	// Answer does what r asks for and appends the whole answer to out. It returns false
	// if it has done nothing, so that net/http can do the same request. It must not keep
	// r. The context ends when the front is closed.
	Answer(ctx context.Context, r *Request, out []byte) (answer []byte, ok bool)
}

// Options are what a front needs. All of them are required.
type Options struct {
	Door    *door.Door
	Handler Handler
	// FirstRequest is how long a new connection may send nothing, Idle how long one may
	// do so after a request. The client also has that long to accept answers.
	FirstRequest, Idle time.Duration
}

// Front is between a listener and an [http.Server].
type Front struct {
	Options

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	serving sync.WaitGroup

	mu      sync.Mutex
	stopped bool                    // guarded by mu
	conns   map[*door.Conn]struct{} // guarded by mu; those that are the front's
}

// New returns a front. The caller must close it.
func New(o Options) *Front {
	f := &Front{Options: o, conns: make(map[*door.Conn]struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Shutdown closes the connections that have no request, and waits until the others have
// been answered, or ctx ends. It is called when the listeners are closed.
func (f *Front) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	f.stopped = true
	for c := range f.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // ends the wait for a request
	}
	f.mu.Unlock()
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

// Close closes all connections of the front and waits for their requests to end.
func (f *Front) Close() {
	f.cancel()
	f.mu.Lock()
	f.stopped = true
	for c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.serving.Wait()
}

// Listener returns the listener for net/http: it accepts the connections of l that are not
// the front's, or no longer. It closes l when it is closed.
func (f *Front) Listener(l net.Listener) net.Listener {
	h := &handover{
		Listener: f.Door.Listener(l), front: f,
		conns: make(chan net.Conn), closed: make(chan struct{}), failed: make(chan error, 1),
	}
	go h.accept() // ends with the listener
	return h
}

// handover is the listener for net/http.
type handover struct {
	net.Listener

	front  *Front
	conns  chan net.Conn
	failed chan error    // capacity 1: why nothing more will come
	closed chan struct{} // closed by Close

	once sync.Once
}

// accept accepts connections until the listener is closed.
func (h *handover) accept() {
	for {
		conn, err := h.Listener.Accept()
		if err != nil {
			h.failed <- err
			return
		}
		c := door.Of(conn)
		if c.Reserved() || !h.front.add(c) {
			go h.give(c, nil) // ends when net/http has taken it
			continue
		}
		go h.serve(c) // ends with the connection
	}
}

// Accept implements [net.Listener].
func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case err := <-h.failed:
		h.failed <- err // for the next call
		return nil, err
	}
}

// Close implements [net.Listener].
func (h *handover) Close() error {
	err := net.ErrClosed
	h.once.Do(func() {
		close(h.closed)
		err = h.Listener.Close()
	})
	return err
}

// give gives net/http a connection that it reads from the beginning of unread.
func (h *handover) give(c *door.Conn, unread []byte) {
	select {
	case h.conns <- &givenConn{c, unread}:
	case <-h.closed:
		h.front.Door.State(c, http.StateClosed)
		c.Close()
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
	if f.stopped {
		return false
	}
	f.conns[c] = struct{}{}
	f.serving.Add(1)
	return true
}

func (f *Front) remove(c *door.Conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	f.serving.Done()
}

// stopping reports whether c is to be closed after its request.
func (f *Front) stopping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopped
}

// pair is the memory of a connection while it is the front's.
type pair struct {
	in  [bufferSize]byte
	out [1 << 10]byte
}

var pairs = sync.Pool{New: func() any { return new(pair) }}

// serve answers the requests of c until one is for net/http, or the connection ends.
func (h *handover) serve(c *door.Conn) {
	memory, _ := pairs.Get().(*pair)
	unread, alive := h.front.answer(c, memory)
	if alive {
		unread = append([]byte(nil), unread...)
	}
	pairs.Put(memory)
	h.front.remove(c)
	if alive {
		_ = c.SetDeadline(time.Time{})
		h.give(c, unread)
		return
	}
	h.front.Door.State(c, http.StateClosed)
	c.Close()
}

// answer answers the requests of c. It returns what it has read and not answered if the
// connection is for net/http.
func (f *Front) answer(c *door.Conn, memory *pair) (unread []byte, alive bool) {
	var (
		r     = Request{Remote: c.RemoteAddr().String()}
		b     []byte    // what was read and not answered
		until time.Time // the deadline; zero before the first request
		long  = false   // the rest of a request has been waited for
	)
	_ = c.SetDeadline(time.Now().Add(f.FirstRequest))
	for {
		n, v := 0, incomplete
		if len(b) > 0 {
			n, v = parse(b, &r)
		}
		switch {
		case v == other, v == incomplete && (long || n > bufferSize || len(b) == bufferSize):
			return b, true
		case v == incomplete:
			if len(b) > 0 {
				long = true
				_ = c.SetReadDeadline(time.Now().Add(secondRead))
			} else if f.stopping() {
				return nil, false
			}
			copy(memory.in[:], b)
			got, err := c.Read(memory.in[len(b):])
			b = memory.in[:len(b)+got]
			if err != nil {
				return b, long && !f.stopping()
			}
			continue
		}
		f.Door.State(c, http.StateActive)
		answer, ok := f.Handler.Answer(f.ctx, &r, memory.out[:0])
		if !ok {
			return b, true
		}
		if _, err := c.Write(answer); err != nil {
			return nil, false
		}
		f.Door.State(c, http.StateIdle)
		b = b[n:]
		if now := time.Now(); long || until.Sub(now) < f.Idle/2 {
			// Setting a deadline costs as much as the rest of this loop, so it is put off
			// only now and then.
			long, until = false, now.Add(f.Idle)
			_ = c.SetDeadline(until)
		}
	}
}
