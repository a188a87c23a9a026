package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
)

// maxWrite is how many bytes are written to a socket under one deadline. A reader that
// accepts fewer within the write time-out is disconnected.
const maxWrite = 16 << 10

// streamFields are the headers of every stream, besides its media type. Caches must not
// store it and proxies must not buffer it: the second header is for nginx, whatever its
// configuration.
var streamFields = [...]struct{ name, value string }{
	{echo.HeaderCacheControl, "no-store, no-transform"},
	{"X-Accel-Buffering", "no"},
	{echo.HeaderVary, "Accept, Authorization, Origin"},
}

// streamMedia returns the media type of a stream.
func streamMedia(format ring.Format) string {
	if format.Lines() {
		return "application/x-ndjson"
	}
	return "text/event-stream"
}

// streamHeaders sets the headers of a stream.
func streamHeaders(h http.Header, format ring.Format) {
	h.Set(echo.HeaderContentType, streamMedia(format))
	for _, f := range streamFields {
		h.Set(f.name, f.value)
	}
}

// stream sends s to the client, through a writer loop if possible, otherwise through
// net/http.
func (a *api) stream(c echo.Context, s *broker.Stream) error {
	request(c).stream = true
	streamHeaders(c.Response().Header(), s.Format())
	if a.Broker.TakesOver(s) {
		if plainConnection(c.Request()) {
			return a.takeOver(c, s)
		}
		if tap := tapped(c); tap != nil {
			if taken, err := a.takeOverTapped(c, s, tap); taken {
				return err
			}
		}
	}
	out := a.writer(c)
	out.stream = s
	if c.Request().ProtoMajor > 1 {
		out.by = portableHTTP2
	}
	a.metrics.carried(out.by, 1)
	readsOn(c) // a stream does not wait for a body that nobody needs
	if !c.Response().Committed {
		c.Response().WriteHeader(http.StatusOK)
	}
	if c.Request().ProtoMajor > 1 {
		request(c).rest = out
		return nil
	}
	defer out.close()
	for out.writeReady() {
		out.err = s.Wait(c.Request().Context())
	}
	return nil
}

// finished counts and logs a stream that has ended.
func (a *api) finished(s *broker.Stream, by carriage, bytes int64, err error) {
	end := outcome(s, err)
	a.metrics.carried(by, -1)
	a.metrics.streamed(end)
	info := s.Info()
	a.Log.LogAttrs(context.Background(), slog.LevelInfo, "stream finished",
		slog.String(keyRequestID, info.RequestID), slog.Any(keyChannels, info.Channels), slog.String(keySubject, info.Subject), slog.String(keyKey, info.KeyName),
		slog.String(keyAddress, info.Address), slog.Float64(keySeconds, seconds(s.Age())),
		slog.Int64(keyMessages, s.Messages()), slog.Int64(keyBytes, bytes),
		slog.Int(keyCode, end.Code), slog.String(keyReason, end.Reason))
}

// outcome returns why a stream ended: the server sent $close, the socket accepted nothing
// any more, or the client left.
func outcome(s *broker.Stream, err error) broker.CloseReason {
	ending, ended := s.Ended()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return broker.SlowConsumer()
	case ended && errors.Is(err, io.EOF):
		return ending
	}
	return broker.CloseReason{Reason: "client_left"}
}

// streamWriter is the portable path: it writes a long answer through net/http. Events that are ready at the same
// time leave in one flush. It is owned by the goroutine of the handler.
type streamWriter struct {
	// Static after construction.
	api     *api
	to      io.Writer
	control *http.ResponseController
	lift    bool           // a deadline must not stay when nothing is written
	cork    Connection     // sends a large chunk of a body in one go; nil: it leaves in parts
	stream  *broker.Stream // nil: the answer is not a stream
	by      carriage       // of the stream

	bytes int64
	err   error // why the stream is over
}

func (a *api) writer(c echo.Context) *streamWriter {
	r := c.Request()
	w := &streamWriter{
		api: a, to: c.Response().Writer, control: controller(c),
		lift: r.ProtoMajor >= 2, // there it would reset the stream when it passes
	}
	if r.ProtoMajor == 1 && r.TLS == nil { // nobody else writes there
		w.cork = connection(r)
	}
	return w
}

// head sends the head of the answer.
func (w *streamWriter) head() {
	_ = w.control.Flush()
	if w.lift {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

// close ends a stream that has been written, and aborts the answer of one that panicked.
func (w *streamWriter) close() {
	v := recover()
	w.stream.Close() // whoever sees that it has finished sees its place free, too
	if v == nil {
		w.api.finished(w.stream, w.by, w.bytes, w.err)
	} else {
		w.api.metrics.carried(w.by, -1)
		w.api.Log.LogAttrs(context.Background(), slog.LevelError, "stream aborted",
			slog.String(keyRequestID, w.stream.Info().RequestID), slog.Any(keyError, fmt.Errorf("%w: %v", errPanic, v)), slog.String(keyStack, string(debug.Stack())))
		panic(http.ErrAbortHandler)
	}
}

// outgoing is what a stream is about to send. Streams that wait have none.
type outgoing struct {
	broker.Batch
	bytes.Buffer
}

// writeReady writes what the stream has to write now. It reports false when the stream is
// over, and why in err: [io.EOF] if it has ended.
func (w *streamWriter) writeReady() bool {
	out, _ := w.api.outgoing.Get().(*outgoing)
	if out == nil {
		out = new(outgoing)
	}
	defer w.api.outgoing.Put(out)
	for w.err == nil {
		if w.err = w.stream.Gather(&out.Batch); w.err != nil || len(out.Events) == 0 {
			break
		}
		before := w.bytes
		if w.err = w.write(out); w.err == nil {
			w.stream.Delivered(&out.Batch, w.bytes-before)
		}
	}
	return w.err == nil
}

// write writes the events, short ones several at a time.
func (w *streamWriter) write(out *outgoing) error {
	if len(out.Events) == 1 && len(out.Events[0]) <= maxWrite {
		return w.send(out.Events[0])
	}
	out.Reset()
	for _, event := range out.Events {
		for len(event) > 0 {
			n := min(len(event), maxWrite-out.Len())
			out.Write(event[:n])
			if event = event[n:]; out.Len() == maxWrite {
				if err := w.send(out.Bytes()); err != nil {
					return err
				}
				out.Reset()
			}
		}
	}
	return w.send(out.Bytes())
}

// maxPlainWrite is how many bytes net/http sends in one go as a chunk of a body. Of a
// longer chunk it sends the beginning, the rest and the end one by one.
const maxPlainWrite = 4000

// send writes and flushes p under one deadline.
func (w *streamWriter) send(p []byte) (err error) {
	if len(p) == 0 {
		return nil
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(w.api.WriteTimeout)) // not every connection has deadlines
	if w.cork == nil || len(p) <= maxPlainWrite {
		err = w.flush(p)
	} else {
		b := w.api.buffers.get()
		w.cork.Cork(b)
		err = errors.Join(w.flush(p), w.cork.Uncork())
		w.api.buffers.put(b)
	}
	if w.lift {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
	return unsent(err)
}

// flush writes p and sends it.
func (w *streamWriter) flush(p []byte) error {
	n, err := w.to.Write(p)
	w.bytes += int64(n)
	if err != nil {
		return err
	}
	return w.control.Flush()
}

// controller returns the controller of the connection. The one of echo's response would
// lose the errors of Flush.
func controller(c echo.Context) *http.ResponseController {
	return http.NewResponseController(c.Response().Writer)
}
