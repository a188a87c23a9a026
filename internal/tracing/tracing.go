// Package tracing makes OpenTelemetry spans and sends them to a collector over OTLP. The
// standard OTEL_ variables configure it; without them there are no spans.
//
// A collector that is slow or down delays nothing and costs a bounded amount of memory:
// spans are dropped instead, and counted.
//
// A span has names, sizes, ids and times. The package is never given payloads or tokens.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluicehq/sluice/internal/delivery"
)

// flushTimeout is how long Close waits for the collector to take the last spans.
const flushTimeout = 3 * time.Second

// Tracer makes spans. The methods of a nil Tracer do nothing, and make none. Make one with
// [New]. Safe for concurrent use.
type Tracer struct {
	// Static after construction.
	provider  *sdk.TracerProvider
	tracer    trace.Tracer
	exporter  *exporter
	unsampled bool // spans of traces that others do not sample may be sampled here

	close sync.Once
}

// Service says what makes the spans.
type Service struct{ Version, Engine string }

// New returns what the variables ask for, nil if that is no tracing. variable returns the
// value of a variable, which must be that of the environment of the process: the exporters
// read theirs from there. The caller must close what it gets.
//
// As OpenTelemetry demands, a value that makes no sense is logged and ignored.
func New(ctx context.Context, variable func(string) string, service Service, log *slog.Logger) (*Tracer, error) {
	if !wanted(variable, log) {
		return nil, nil
	}
	useLog(log)
	to, err := otlp(ctx, variable, log)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	origin, _ := resource.New(ctx, // says itself in the log what it ignores
		resource.WithAttributes(semconv.ServiceName("sluice"), semconv.ServiceVersion(service.Version), engineKey.String(service.Engine)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	t := &Tracer{exporter: newExporter(to, variable, log), unsampled: unsampled(variable)}
	t.provider = sdk.NewTracerProvider(sdk.WithResource(origin), sdk.WithSpanProcessor(t.exporter.processor()))
	t.tracer = t.provider.Tracer("github.com/sluicehq/sluice", trace.WithInstrumentationVersion(service.Version), trace.WithSchemaURL(semconv.SchemaURL))
	log.Info("tracing", slog.String("protocol", protocol(variable, log)))
	return t, nil
}

// wanted reports whether the variables ask for spans.
func wanted(variable func(string) string, log *slog.Logger) bool {
	if strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	switch exporter := strings.TrimSpace(variable("OTEL_TRACES_EXPORTER")); exporter {
	case "otlp":
		return true
	case "none":
		return false
	case "":
	default:
		log.Warn("tracing misconfigured", slog.String("variable", "OTEL_TRACES_EXPORTER"), slog.String("value", exporter), slog.String("detail", "must be otlp or none; there are no traces"))
		return false
	}
	return variable("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

// protocol returns how the collector is spoken to.
func protocol(variable func(string) string, log *slog.Logger) string {
	for _, name := range [...]string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch value := strings.TrimSpace(variable(name)); value {
		case "":
		case overHTTP, overGRPC:
			return value
		default:
			log.Warn("tracing misconfigured", slog.String("variable", name), slog.String("value", value), slog.String("detail", "must be http/protobuf or grpc; it is http/protobuf now"))
			return overHTTP
		}
	}
	return overHTTP
}

// otlp returns the exporter of the library, which reads its variables by itself. It does not
// wait for the collector.
func otlp(ctx context.Context, variable func(string) string, log *slog.Logger) (sdk.SpanExporter, error) {
	if protocol(variable, log) == overGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// unsampled reports whether the sampler may sample spans whose parent is not sampled.
func unsampled(variable func(string) string) bool {
	switch strings.ToLower(strings.TrimSpace(variable("OTEL_TRACES_SAMPLER"))) {
	case "always_on", "traceidratio":
		return true
	}
	return false
}

// Close sends what has not been sent yet, for at most three seconds. Spans that end later
// are lost. It is idempotent.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	t.close.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		defer context.AfterFunc(ctx, t.exporter.stop)() // ends what the collector holds up
		_ = t.provider.Shutdown(context.WithoutCancel(ctx))
		t.exporter.stop()
	})
}

// Stats are counters since the start.
type Stats struct {
	Sent    int64 // spans that the collector has taken
	Dropped int64 // spans that it has not, or for which there was no room
}

// Stats returns the current figures.
func (t *Tracer) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	return Stats{Sent: t.exporter.sent.Load(), Dropped: t.exporter.dropped.Load()}
}

// Parent is the span in which a request was sent, as its headers say (W3C Trace Context).
type Parent struct{ Traceparent, Tracestate string }

// in returns a context in which spans are children of the parent.
func (p Parent) in(ctx context.Context) context.Context {
	if p.Traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": p.Traceparent, "tracestate": p.Tracestate})
}

// Start begins the span of a request that came in at the given time. It returns nil if the
// trace is not sampled.
func (t *Tracer) Start(operation string, parent Parent, at time.Time) *Span {
	if t == nil {
		return nil
	}
	return t.start(parent.in(context.Background()), operation, trace.SpanKindServer, at)
}

func (t *Tracer) start(ctx context.Context, operation string, kind trace.SpanKind, at time.Time) *Span {
	ctx, span := t.tracer.Start(ctx, operation, trace.WithSpanKind(kind), trace.WithTimestamp(at), trace.WithAttributes(
		attribute.String(string(semconv.MessagingSystemKey), system), semconv.MessagingOperationName(operation)))
	if !span.IsRecording() {
		return nil
	}
	return &Span{tracer: t, ctx: ctx, span: span, operation: operation}
}

// Follows implements [delivery.Observer].
func (t *Tracer) Follows(traceparent string) bool {
	return t.unsampled || sampled(traceparent)
}

// sampled reports whether a valid traceparent has the flag of that name (W3C Trace Context,
// section 3.2.2.5.1), which is the lowest bit of its last digit.
func sampled(traceparent string) bool {
	return strings.IndexByte("13579bdf", traceparent[len(traceparent)-1]) >= 0
}

// Delivered implements [delivery.Observer]. The span follows from the one that the message
// names, through whatever node that was published.
func (t *Tracer) Delivered(r delivery.Report) {
	if r.Readers == 0 {
		return
	}
	span := t.start(Parent{Traceparent: r.Traceparent}.in(context.Background()), Deliver, trace.SpanKindProducer, r.Entered)
	if span == nil {
		return
	}
	span.about(Message{Channel: r.Channel, Topic: r.Topic, ID: r.ID})
	span.span.SetAttributes(readersKey.Int(r.Readers), behindKey.Int(r.Behind))
	span.span.AddEvent("first write", trace.WithTimestamp(r.First))
	span.span.AddEvent("last write", trace.WithTimestamp(r.Last))
	span.span.End(trace.WithTimestamp(r.Last))
}
