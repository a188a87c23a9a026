package handlers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/tlsrecord"
	"github.com/sluicehq/sluice/internal/tlstap"
)

// plainConnection reports whether the request has an unencrypted TCP connection to itself:
// HTTP/1.x without TLS.
func plainConnection(r *http.Request) bool {
	_, tcp := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return tcp && r.TLS == nil && r.ProtoMajor == 1
}

// takeOver hands the connection and s to a writer loop, together with the head of the
// answer, which net/http would otherwise write.
func (a *api) takeOver(c echo.Context, s *broker.Stream) error {
	conn, _, err := controller(c).Hijack()
	if err != nil {
		s.Close()
		return fmt.Errorf("handlers: taking a connection over: %w", err)
	}
	request(c).taken = true
	_ = conn.SetDeadline(time.Time{})
	chunked := c.Request().ProtoAtLeast(1, 1)
	framing := ""
	if chunked {
		framing = chunkedFraming
	}
	head := a.appendStreamHead(make([]byte, 0, headBytes), s.Format(), request(c), framing)
	c.Response().Status, c.Response().Committed = http.StatusOK, true
	if err := a.carry(s, onLoop, broker.Takeover{Conn: conn, Head: head, Chunked: chunked}); err != nil {
		defer conn.Close()
		s.Close() // whoever is turned away finds the place free
		return a.turnAwayOn(c, conn, s.Format(), err)
	}
	return nil
}

// carry gives s to a writer loop, see [broker.Broker.TakeOver].
func (a *api) carry(s *broker.Stream, by carriage, t broker.Takeover) error {
	t.Done = a.done[by]
	a.metrics.carried(by, 1)
	err := a.Broker.TakeOver(s, t)
	if err != nil {
		a.metrics.carried(by, -1)
	}
	return err
}

// tapped returns the tap of the request's connection if it has a TCP connection with TLS
// to itself that can be taken over, and everything that the client sends was read.
func tapped(c echo.Context) *tlstap.Conn {
	r := c.Request()
	tap, _ := r.Context().Value(tapKey{}).(*tlstap.Conn)
	_, tcp := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if tap == nil || !tcp || r.TLS == nil || r.ProtoMajor != 1 || !tap.Ready() {
		return nil
	}
	if body := &request(c).body; body.present() && !body.ended {
		return nil
	}
	return tap
}

// takeOverTapped is takeOver for a connection with TLS. The head of the answer is written
// by net/http and crypto/tls, so that it can prove the keys: if it does not, the head is
// sent as it is, and takeOverTapped reports false. Whoever calls it goes on from there.
func (a *api) takeOverTapped(c echo.Context, s *broker.Stream, tap *tlstap.Conn) (taken bool, err error) {
	chunked := c.Request().ProtoAtLeast(1, 1)
	if chunked { // else the body ends with the connection anyway
		closeAfter(c)
	}
	tap.Hold()
	c.Response().WriteHeader(http.StatusOK)
	_ = controller(c).Flush() // what fails here fails at the next write as well
	sealer, err := tap.Sealer(c.Request().TLS.CipherSuite)
	if err != nil {
		a.Log.LogAttrs(context.Background(), slog.LevelDebug, "stream stays with crypto/tls", slog.String(keyRequestID, requestID(c)), slog.Any(keyError, err))
		return false, tap.Release()
	}
	conn, _, err := controller(c).Hijack()
	if err != nil {
		s.Close()
		return true, errors.Join(fmt.Errorf("handlers: taking a connection over: %w", err), tap.Release())
	}
	request(c).taken = true
	head, err := tap.Detach(conn.(*tls.Conn))
	if err != nil { // the client has left, or crypto/tls has answered it meanwhile
		s.Close() // whoever sees that it has finished sees its place free, too
		_ = tap.Release()
		conn.Close()
		a.metrics.carried(onTLSLoop, 1)
		a.finished(s, onTLSLoop, 0, err)
		return true, nil
	}
	over := broker.Takeover{Conn: tap.NetConn(), Head: head, Sealer: sealer, Chunked: chunked}
	if err := a.carry(s, onTLSLoop, over); err != nil {
		defer tap.Close() //nolint:errcheck // nothing is lost with it
		s.Close()         // whoever is turned away finds the place free
		a.turnAwaySealed(c, over, s.Format(), err)
	}
	return true, nil
}

// turnAwaySealed is turnAwayOn on a connection with TLS. The head of the answer is part of
// the takeover, so lines are turned away with status 200, too, and no line.
func (a *api) turnAwaySealed(c echo.Context, t broker.Takeover, format ring.Format, why error) {
	ending := a.notTaken(requestID(c), why)
	out := t.Head
	var body bytes.Buffer
	if !format.Lines() {
		w := io.Writer(&body)
		if t.Chunked {
			w = httputil.NewChunkedWriter(&body)
		}
		_, _ = w.Write(ending.Refusal(lastEventID(c))) // writing to a buffer cannot fail
	}
	if t.Chunked {
		body.WriteString("0\r\n\r\n")
	}
	out, err := t.Sealer.Seal(out, tlsrecord.ApplicationData, body.Bytes())
	if err == nil {
		out, err = t.Sealer.CloseNotify(out)
	}
	if err != nil {
		return
	}
	_ = t.Conn.SetWriteDeadline(time.Now().Add(a.WriteTimeout))
	_, _ = t.Conn.Write(out) // a client that does not get it reconnects anyway
}

// notTaken counts and logs that no loop could take a stream over. It returns how the
// client is turned away.
func (a *api) notTaken(requestID string, why error) broker.CloseReason {
	ending := a.logNotTaken(requestID, why)
	if _, later := notNow(why); !later {
		why = errNoRoom()
	}
	a.metrics.turnedAway(ending, why)
	return ending
}

func (a *api) logNotTaken(requestID string, why error) broker.CloseReason {
	ending := broker.TooManyStreams()
	if e, ok := notNow(why); ok {
		ending = e
	}
	a.Log.LogAttrs(context.Background(), slog.LevelWarn, "stream not taken over",
		slog.String(keyRequestID, requestID), slog.Any(keyError, why), slog.Int(keyCode, ending.Code), slog.String(keyReason, ending.Reason))
	return ending
}

// turnAwayOn is turnAway on a connection that net/http no longer owns: no loop could take
// it over, usually because descriptors had run out.
func (a *api) turnAwayOn(c echo.Context, conn net.Conn, format ring.Format, why error) error {
	ending := a.notTaken(requestID(c), why)
	r := http.Response{
		ProtoMajor: 1, ProtoMinor: 1, StatusCode: http.StatusOK, Header: c.Response().Header().Clone(), Close: true,
	}
	body := ending.Refusal(lastEventID(c))
	if format.Lines() {
		err := errNoRoom()
		k := kindOf(err).spec()
		r.StatusCode, body = k.status, encodeProblem(problemOf(err, requestID(c)))
		r.Header.Set(echo.HeaderContentType, problemType)
		r.Header.Set(echo.HeaderCacheControl, "no-store")
		r.Header.Set("Retry-After", strconv.Itoa(k.retryAfter))
		c.Response().Status = k.status
	}
	r.ContentLength, r.Body = int64(len(body)), io.NopCloser(bytes.NewReader(body))
	_ = conn.SetWriteDeadline(time.Now().Add(a.WriteTimeout))
	_ = r.Write(conn) // a client that does not get it reconnects anyway
	return nil
}

const (
	// headBytes is more than the head of an answer with a stream has, unless an origin is
	// long.
	headBytes = 512
	// chunkedFraming is the header of a body whose length is not known.
	chunkedFraming = "Transfer-Encoding: chunked\r\n"
)

// appendStreamHead appends the head of the answer with a stream (RFC 9112, sections 4 and
// 6). framing is the header of the body. The connection carries nothing after this answer.
func (a *api) appendStreamHead(out []byte, format ring.Format, r *requestInfo, framing string) []byte {
	out = append(out, "HTTP/1.1 200 OK\r\n"...)
	for _, f := range streamFields {
		out = appendField(out, f.name, f.value)
	}
	out = a.appendFields(appendField(out, echo.HeaderContentType, streamMedia(format)), r)
	out = append(out, "Connection: close\r\n"...)
	out = append(out, framing...)
	return append(out, "\r\n"...)
}

// appendFields appends the headers that every answer has, except Vary.
func (a *api) appendFields(out []byte, r *requestInfo) []byte {
	out = append(out, "X-Content-Type-Options: nosniff\r\n"...)
	out = appendField(out, echo.HeaderXRequestID, r.id)
	if r.origin != "" {
		a.allow(r.origin, func(name, value string) { out = appendField(out, name, value) })
	}
	if policy, state := a.quotas(r); policy != "" {
		out = appendField(appendField(out, policyHeader, policy), quotaHeader, state)
	}
	out = append(out, "Date: "...)
	out = time.Now().UTC().AppendFormat(out, http.TimeFormat)
	return append(out, "\r\n"...)
}

func appendField(out []byte, name, value string) []byte {
	out = append(append(out, name...), ": "...)
	return append(append(out, value...), "\r\n"...)
}
