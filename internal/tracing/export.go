package tracing

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// exporter stands between the library's queue of ended spans and its exporter. It counts
// what is lost, and logs the first loss and the end of it, not every span.
//
// The library drops spans when its queue is full and does not say so. So the exporter lets
// no more spans in than the queue has room for, and counts the others itself.
type exporter struct {
	// Static after construction.
	to   sdk.SpanExporter
	log  *slog.Logger
	room int64
	life context.Context // ends with stop
	stop context.CancelFunc

	waiting atomic.Int64 // spans that have ended and not been exported yet
	sent    atomic.Int64
	dropped atomic.Int64
	losing  atomic.Bool // a loss has been logged, and nothing has been sent since
}

func newExporter(to sdk.SpanExporter, variable func(string) string, log *slog.Logger) *exporter {
	e := &exporter{to: to, log: log, room: sdk.DefaultMaxQueueSize}
	if n, err := strconv.Atoi(strings.TrimSpace(variable("OTEL_BSP_MAX_QUEUE_SIZE"))); err == nil && n > 0 {
		e.room = int64(n)
	}
	e.life, e.stop = context.WithCancel(context.Background())
	return e
}

// processor returns what ended spans are given to. It reads the variables OTEL_BSP_… for the
// rest of its settings.
func (e *exporter) processor() sdk.SpanProcessor {
	return &gate{sdk.NewBatchSpanProcessor(e, sdk.WithMaxQueueSize(int(e.room))), e}
}

// ExportSpans implements [sdk.SpanExporter]. It returns no error: what it cannot send is
// counted here, and nobody tries again.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	err := e.to.ExportSpans(ctx, spans)
	n := int64(len(spans))
	e.waiting.Add(-n)
	if err != nil {
		e.lose(n, "the collector does not take them: "+err.Error())
		return nil
	}
	e.sent.Add(n)
	if e.losing.Swap(false) {
		e.log.Info("spans sent again", slog.Int64("dropped", e.dropped.Load()))
	}
	return nil
}

// Shutdown implements [sdk.SpanExporter].
func (e *exporter) Shutdown(ctx context.Context) error { return e.to.Shutdown(ctx) }

// lose counts spans that are lost.
func (e *exporter) lose(n int64, why string) {
	e.dropped.Add(n)
	if !e.losing.Swap(true) {
		e.log.Warn("spans dropped", slog.String("reason", why))
	}
}

// gate lets spans into the queue.
type gate struct {
	sdk.SpanProcessor
	exporter *exporter
}

// OnEnd implements [sdk.SpanProcessor]. It never waits.
func (g *gate) OnEnd(s sdk.ReadOnlySpan) {
	switch {
	case !s.SpanContext().IsSampled():
	case g.exporter.waiting.Add(1) > g.exporter.room:
		g.exporter.waiting.Add(-1)
		g.exporter.lose(1, "there are more than the collector takes")
	default:
		g.SpanProcessor.OnEnd(s)
	}
}

// useLog makes the library write to log what it has to say of its configuration. Of what it
// says of the exporters, only the messages are written: what goes with them may be the value
// of a variable, and so a secret.
func useLog(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("tracing misconfigured", slog.Any("detail", err))
	}))
	otel.SetLogger(logr.New(&librarySink{log: log}))
}

// librarySink implements [logr.LogSink].
type librarySink struct{ log *slog.Logger }

// Init implements [logr.LogSink].
func (*librarySink) Init(logr.RuntimeInfo) {}

// Enabled implements [logr.LogSink]. What is above the level of warnings is left out.
func (*librarySink) Enabled(level int) bool { return level <= 1 }

// Info implements [logr.LogSink].
func (s *librarySink) Info(_ int, message string, _ ...any) {
	s.log.Warn("tracing misconfigured", slog.String("detail", message))
}

// Error implements [logr.LogSink].
func (s *librarySink) Error(_ error, message string, _ ...any) {
	s.log.Warn("tracing misconfigured", slog.String("detail", message))
}

// WithValues implements [logr.LogSink].
func (s *librarySink) WithValues(...any) logr.LogSink { return s }

// WithName implements [logr.LogSink].
func (s *librarySink) WithName(string) logr.LogSink { return s }
