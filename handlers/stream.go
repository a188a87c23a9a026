package handlers

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
)

// maxWrite is how many bytes are written to a socket under one deadline. A reader that
// accepts fewer within the write time-out is disconnected.
const maxWrite = 16 << 10

// streamHeaders are the headers of every stream. Caches must not store it and proxies must
// not buffer it: the third header is for nginx, whatever its configuration.
func streamHeaders(h http.Header, format ring.Format) {
	h.Set(echo.HeaderContentType, "text/event-stream")
	if format.Lines() {
		h.Set(echo.HeaderContentType, "application/x-ndjson")
	}
	h.Set(echo.HeaderCacheControl, "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set(echo.HeaderVary, "Accept, Authorization, Origin")
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
	defer s.Close() // also if it panics
	out := a.writer(c)
	readsOn(c) // a stream does not wait for a body that nobody needs
	if !c.Response().Committed {
		c.Response().WriteHeader(http.StatusOK)
	}
	err := out.copy(c.Request().Context(), s)
	s.Close() // whoever sees that it has finished sees its place free, too
	a.finished(s, out.bytes, err)
	return nil
}

// finished counts and logs a stream that has ended.
func (a *api) finished(s *broker.Stream, bytes int64, err error) {
	end := outcome(s, err)
	a.metrics.streamed(end)
	info := s.Info()
	a.Log.LogAttrs(context.Background(), slog.LevelInfo, "stream finished",
		slog.String(keyRequestID, info.RequestID), slog.Any(keyChannels, info.Channels), slog.String(keySubject, info.Subject),
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
	to      io.Writer
	control *http.ResponseController
	timeout time.Duration
	lift    bool // a deadline must not stay when nothing is written
	buffers *buffers
	broker  *broker.Broker

	bytes int64
}

func (a *api) writer(c echo.Context) *streamWriter {
	return &streamWriter{
		to: c.Response(), control: controller(c), timeout: a.WriteTimeout,
		lift:    c.Request().ProtoMajor >= 2, // there it would reset the stream when it passes
		buffers: &a.buffers, broker: a.Broker,
	}
}

// head sends the head of the answer.
func (w *streamWriter) head() {
	_ = w.control.Flush()
	if w.lift {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

// copy writes until the stream has ended ([io.EOF]), the client has left, or its socket
// has accepted nothing for the time-out ([os.ErrDeadlineExceeded]).
func (w *streamWriter) copy(ctx context.Context, s *broker.Stream) error {
	var batch broker.Batch
	for {
		if err := s.Next(ctx, &batch); err != nil {
			return err
		}
		before := w.bytes
		if err := w.write(batch.Events); err != nil {
			return err
		}
		w.broker.Delivered(batch.Messages, w.bytes-before)
	}
}

// write writes the events, short ones several at a time.
func (w *streamWriter) write(events [][]byte) error {
	if len(events) == 1 && len(events[0]) <= maxWrite {
		return w.send(events[0])
	}
	b := w.buffers.get()
	defer w.buffers.put(b)
	for _, event := range events {
		for len(event) > 0 {
			n := min(len(event), maxWrite-b.Len())
			b.Write(event[:n])
			if event = event[n:]; b.Len() == maxWrite {
				if err := w.send(b.Bytes()); err != nil {
					return err
				}
				b.Reset()
			}
		}
	}
	return w.send(b.Bytes())
}

// send writes and flushes p under one deadline.
func (w *streamWriter) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) // not every connection has deadlines
	n, err := w.to.Write(p)
	w.bytes += int64(n)
	if err == nil {
		err = w.control.Flush()
	}
	if w.lift {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
	return unsent(err)
}

// controller returns the controller of the connection. The one of echo's response would
// lose the errors of Flush.
func controller(c echo.Context) *http.ResponseController {
	return http.NewResponseController(c.Response().Writer)
}
