// Package door accepts connections for a server whose descriptors may run out.
//
// The last descriptors of the process are a reserve: connections that get one are
// for short requests, such as a look at the health or a refusal, and whoever
// serves them is told so ([Conn.Reserved]). When the reserve is touched,
// connections that wait for nothing but their client are closed, the oldest first,
// so that whoever comes with a request is served. The package does not know what
// is served.
package door

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/internal/rawio"
)

const (
	// maxReserve is how many descriptors are reserved, at most; with a low limit it
	// is an eighth of it.
	maxReserve = 64
	// acceptPause is how long connections wait in the system's queue before the next
	// attempt to accept one.
	acceptPause = 10 * time.Millisecond
	// warnEvery is how often the log is told, at most.
	warnEvery = 10 * time.Second
)

// Door is between listeners and a server, whose ConnState must be its State method.
type Door struct {
	// Static after construction.
	log   *slog.Logger
	limit int // descriptors that the process may have; 0: unknown
	spare int // of them are the reserve

	failures, shed atomic.Int64

	mu     sync.Mutex
	conns  map[*Conn]struct{} // guarded by mu
	warned time.Time          // guarded by mu
}

// New returns a door.
func New(log *slog.Logger) *Door {
	limit := descriptorLimit()
	return &Door{log: log, limit: limit, spare: min(limit/8, maxReserve), conns: make(map[*Conn]struct{})}
}

// Stats are figures since the start.
type Stats struct {
	AcceptFailures int64 // times that no connection could be accepted, for want of descriptors
	Shed           int64 // connections that were closed to get some back
}

// Stats is safe for concurrent use.
func (d *Door) Stats() Stats { return Stats{d.failures.Load(), d.shed.Load()} }

// Listener returns a listener whose connections come from l, through the door. It
// closes l when it is closed.
func (d *Door) Listener(l net.Listener) net.Listener { return &entrance{l, d} }

type entrance struct {
	net.Listener
	door *Door
}

// Accept implements [net.Listener]. It waits while there are no descriptors.
func (e *entrance) Accept() (net.Conn, error) {
	d := e.door
	for {
		conn, err := e.Listener.Accept()
		switch {
		case err == nil:
			return d.admit(conn), nil
		case !Exhausted(err):
			return nil, err
		}
		d.failures.Add(1)
		d.makeRoom(slog.Any("error", err))
		<-time.After(acceptPause)
	}
}

// admit makes conn one of the door's. The system gives out the lowest descriptor
// that is free, so one in the reserve says that all others are taken.
func (d *Door) admit(conn net.Conn) *Conn {
	c := &Conn{Conn: rawio.Wrap(conn)}
	c.reserved = d.limit > 0 && descriptor(conn) >= d.limit-d.spare
	if c.reserved {
		d.makeRoom()
	}
	c.Dispensable()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns[c] = struct{}{}
	return c
}

// makeRoom closes connections that wait for their clients, and says so.
func (d *Door) makeRoom(attrs ...slog.Attr) {
	n := d.closeQuiet()
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.warned) >= warnEvery {
		d.warned = now
		attrs = append(attrs, slog.Int("limit", d.limit), slog.Int("connections", len(d.conns)),
			slog.Int("closed_now", n), slog.Int64("closed", d.shed.Load()), slog.Int64("failures", d.failures.Load()))
		d.log.LogAttrs(context.Background(), slog.LevelWarn, "descriptors are running out", attrs...)
	}
}

// closeQuiet closes the connections that have been quiet the longest, half as many
// as the reserve has descriptors: to look for them takes longer than to close one.
func (d *Door) closeQuiet() int {
	type candidate struct {
		conn  *Conn
		since int64
	}
	var quiet []candidate
	d.mu.Lock()
	for c := range d.conns {
		if since := c.quiet.Load(); since != 0 {
			quiet = append(quiet, candidate{c, since})
		}
	}
	d.mu.Unlock()
	slices.SortFunc(quiet, func(a, b candidate) int { return cmp.Compare(a.since, b.since) })
	n := 0
	for _, q := range quiet[:min(len(quiet), max(d.spare/2, 1))] {
		if q.conn.quiet.CompareAndSwap(q.since, 0) { // else it has a request meanwhile
			q.conn.Close()
			n++
		}
	}
	d.shed.Add(int64(n))
	return n
}

// State is for [http.Server.ConnState].
func (d *Door) State(conn net.Conn, state http.ConnState) {
	c := Of(conn)
	if c == nil {
		return
	}
	switch state {
	case http.StateActive:
		c.quiet.Store(0)
	case http.StateNew, http.StateIdle:
		c.Dispensable()
	case http.StateHijacked, http.StateClosed:
		c.quiet.Store(0)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.conns, c)
	}
}

// Conn is a connection that came through a door.
type Conn struct {
	// Static after construction.
	net.Conn
	reserved bool

	quiet atomic.Int64 // since when it waits for its client, as Unix nanoseconds; 0: it does not

	corked *bytes.Buffer // owned by whoever writes; nil: what is written leaves at once
}

// Of returns the door's own of a connection, which may be wrapped, in TLS for instance,
// or nil.
func Of(conn net.Conn) *Conn {
	for {
		switch c := conn.(type) {
		case *Conn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

// Reserved reports whether the connection has a descriptor of the reserve. It
// should be closed soon.
func (c *Conn) Reserved() bool { return c.reserved }

// Dispensable says that nothing is lost if the connection is closed now. It holds
// until the next request.
func (c *Conn) Dispensable() { c.quiet.Store(time.Now().UnixNano()) }

// Cork makes what is written gather in b, which is empty, until [Conn.Uncork]. It is for
// the one goroutine that writes, which must write little in between.
func (c *Conn) Cork(b *bytes.Buffer) { c.corked = b }

// Uncork sends in one go what was written since [Conn.Cork].
func (c *Conn) Uncork() error {
	b := c.corked
	c.corked = nil
	_, err := c.Conn.Write(b.Bytes())
	return err
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	if c.corked != nil {
		return c.corked.Write(p)
	}
	return c.Conn.Write(p)
}

// SyscallConn implements [syscall.Conn].
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// CloseWrite ends what is sent. Error: [errors.ErrUnsupported].
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// descriptor returns the number of conn's descriptor, -1 if it has none.
func descriptor(conn net.Conn) int {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1
	}
	number := -1
	if raw.Control(func(fd uintptr) { number = int(fd) }) != nil {
		return -1
	}
	return number
}
