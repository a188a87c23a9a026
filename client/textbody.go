package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"
)

// connCheck is how often a body that waits for text checks its connection.
const connCheck = time.Second

var (
	errConnClosed = errors.New("client: the connection is lost")
	errBodyClosed = errors.New("client: the request is over")
)

// textBody is the body of one request: a text from an offset on, as it comes.
type textBody struct {
	ctx    context.Context // ends with the request, or with Close
	cancel context.CancelCauseFunc
	text   *heldText
	offset int64 // of the next byte
	conn   *watchedConn
}

func newTextBody(ctx context.Context, text *heldText, offset int64, conn *watchedConn) *textBody {
	ctx, cancel := context.WithCancelCause(ctx)
	return &textBody{ctx, cancel, text, offset, conn}
}

// Read waits for text, but not longer than its connection lasts.
func (b *textBody) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	check := time.NewTicker(connCheck)
	defer check.Stop()
	for {
		n, changed, err := b.text.read(p, b.offset)
		if n > 0 || err != nil {
			b.offset += int64(n)
			return n, err
		}
		select {
		case <-changed:
		case <-b.ctx.Done():
			return 0, context.Cause(b.ctx)
		case <-check.C:
			if b.conn.closed() {
				return 0, errConnClosed
			}
		}
	}
}

// Close lets a Read end.
func (b *textBody) Close() error {
	b.cancel(errBodyClosed)
	return nil
}

// watchedConn is the connection of a request. While a body waits for text, net/http does not
// return from a request over HTTP/1.1, although it has seen the connection end and has closed
// it. The time to go on would pass unused.
type watchedConn struct{ conn atomic.Pointer[net.Conn] }

// trace returns a context for the request.
func (w *watchedConn) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { w.conn.Store(&info.Conn) },
	})
}

// closed reports whether the connection was closed on this side.
func (w *watchedConn) closed() bool {
	held := w.conn.Load()
	if held == nil {
		return false
	}
	conn := *held
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	// It fails once the connection was closed here, and does not touch the connection.
	raw, err := socket.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}
