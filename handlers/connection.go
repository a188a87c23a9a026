package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/internal/tlstap"
)

// Connection is what the server knows about the connection of a request.
type Connection interface {
	// Reserved reports whether the connection has one of the last descriptors of the
	// process. No stream may keep it then.
	Reserved() bool
	// Dispensable tells the server that nothing is lost if the connection closes now.
	Dispensable()
	// Cork makes what is written to the connection gather in b, which is empty, until Uncork
	// sends all of it in one go.
	Cork(b *bytes.Buffer)
	Uncork() error
}

type connectionKey struct{}

// WithConnection returns a context for [http.Server.ConnContext].
func WithConnection(ctx context.Context, c Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

type tapKey struct{}

// WithTap returns a context for [http.Server.ConnContext]: below TLS, conn has a tap.
func WithTap(ctx context.Context, tap *tlstap.Conn) context.Context {
	return context.WithValue(ctx, tapKey{}, tap)
}

// connection returns the connection of the request, nil if the server did not give it.
func connection(r *http.Request) Connection {
	c, _ := r.Context().Value(connectionKey{}).(Connection)
	return c
}

// spare closes the connection right after the answer if descriptors are running out.
func (a *api) spare(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if conn := connection(c.Request()); conn != nil && conn.Reserved() {
			closeAfter(c)
		}
		return next(c)
	}
}

// closeAfter closes the connection after the answer, except over HTTP/2, where other
// requests share it.
func closeAfter(c echo.Context) {
	if c.Request().ProtoMajor == 1 {
		c.Response().Header().Set(echo.HeaderConnection, "close")
	}
}

// mayStay returns [broker.ErrTooManyStreams] if the request must not occupy its
// connection for long.
func mayStay(c echo.Context) error {
	if conn := connection(c.Request()); conn != nil && conn.Reserved() {
		return errNoRoom()
	}
	return nil
}

// errDescriptors says that the limit on descriptors was reached.
var errDescriptors = errors.New("descriptors")

// errNoRoom is the error of a stream for which there is no descriptor.
func errNoRoom() error {
	return fmt.Errorf("%w: the server has no %w left for it now", broker.ErrTooManyStreams, errDescriptors)
}
