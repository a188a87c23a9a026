package tracing_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/leaktest"
	"github.com/sluicehq/sluice/internal/tracing"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// journal is a log that may be read at any time.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// begin returns the tracer that the variables ask for, and its log.
func begin(t *testing.T, variables map[string]string) (*tracing.Tracer, *journal) {
	t.Helper()
	for name, value := range variables {
		t.Setenv(name, value)
	}
	log := new(journal)
	tracer, err := tracing.New(t.Context(), os.Getenv, tracing.Service{Version: "test", Engine: "memory"}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracer.Close)
	return tracer, log
}

// collector answers what it is sent with a status.
func collector(t *testing.T) (url string, status *atomic.Int32) {
	t.Helper()
	status = new(atomic.Int32)
	status.Store(http.StatusOK)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(srv.Close)
	return srv.URL, status
}

const (
	sampled    = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	notSampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestNew(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	for _, tt := range []struct {
		name      string
		variables map[string]string
		on        bool
		says      string // in the log
	}{
		{"nothing", nil, false, ""},
		{"endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, true, ""},
		{"endpoint of traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint + "/v1/traces"}, true, ""},
		{"standard endpoint", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{"none", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "TRUE"}, false, ""},
		{"unknown exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "must be otlp or none"},
		{"unknown protocol", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, true, "must be http/protobuf or grpc"},
		{"unknown sampler", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER": "some"}, true, "unsupported sampler"},
		{"bad headers", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "the-secret"}, true, "parse headers"},
		{"bad attributes", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_RESOURCE_ATTRIBUTES": "nonsense"}, true, "missing value: [nonsense]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tracer, log := begin(t, tt.variables)
			if on := tracer != nil; on != tt.on {
				t.Errorf("tracing is on: %t, want %t", on, tt.on)
			}
			said := log.String()
			if !strings.Contains(said, tt.says) || strings.Contains(said, "WARN") != (tt.says != "") || strings.Contains(said, "the-secret") {
				t.Errorf("the log has %s, want a warning %q", said, tt.says)
			}
		})
	}
}

// Without tracing, nothing is allocated.
func TestTracer_nil(t *testing.T) {
	var none *tracing.Tracer
	now := time.Now()
	n := testing.AllocsPerRun(100, func() {
		span := none.Start(tracing.Publish, tracing.Parent{Traceparent: sampled}, now)
		child := span.Child(tracing.Append)
		child.End("", false)
		span.Sends(tracing.Message{Channel: "orders"})
		span.Batch(1)
		span.Chunks(1)
		if span.Traceparent() != "" || span.TraceID() != "" {
			t.Error("it has a trace")
		}
		span.Answered(tracing.Answer{Status: http.StatusCreated})
	})
	if n > 0 || none.Stats() != (tracing.Stats{}) {
		t.Errorf("%v allocations, %+v", n, none.Stats())
	}
}

func TestTracer_Start(t *testing.T) {
	url, _ := collector(t)
	tracer, _ := begin(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url})
	if span := tracer.Start(tracing.Publish, tracing.Parent{Traceparent: notSampled}, time.Now()); span != nil {
		t.Error("a trace that is not sampled has a span")
	}
	span := tracer.Start(tracing.Publish, tracing.Parent{Traceparent: sampled}, time.Now())
	own := span.Traceparent()
	if own[:36] != sampled[:36] || own[36:52] == sampled[36:52] || own[52:] != "-01" || span.TraceID() != sampled[3:35] {
		t.Errorf("got %s in %s", own, span.TraceID())
	}
	if !tracer.Follows(sampled) || tracer.Follows(notSampled) || tracer.Follows(sampled[:54]+"2") || !tracer.Follows(sampled[:54]+"3") {
		t.Error("messages are not followed by their flag")
	}
}

// A collector that refuses spans costs these spans. The log says so once, and once that the
// next ones are sent.
func TestTracer_refused(t *testing.T) {
	url, status := collector(t)
	tracer, log := begin(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "1"})
	send := func(n int64, what func(tracing.Stats) int64) {
		was := what(tracer.Stats())
		for range n {
			tracer.Start(tracing.Publish, tracing.Parent{}, time.Now()).Answered(tracing.Answer{Status: http.StatusCreated})
			for was++; what(tracer.Stats()) < was; { // one export each
				time.Sleep(time.Millisecond)
			}
		}
	}
	sent, dropped := func(s tracing.Stats) int64 { return s.Sent }, func(s tracing.Stats) int64 { return s.Dropped }
	send(2, sent)
	status.Store(http.StatusBadRequest)
	send(3, dropped)
	status.Store(http.StatusOK)
	send(2, sent)
	if s := tracer.Stats(); s != (tracing.Stats{Sent: 4, Dropped: 3}) {
		t.Errorf("got %+v, want 4 sent and 3 dropped", s)
	}
	said := log.String()
	if strings.Count(said, "spans dropped") != 1 || strings.Count(said, "spans sent again") != 1 {
		t.Errorf("the log has %s", said)
	}
}

// What ends before Close is sent by it.
func TestTracer_Close(t *testing.T) {
	url, _ := collector(t)
	tracer, _ := begin(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"})
	span := tracer.Start(tracing.Publish, tracing.Parent{}, time.Now())
	span.Child(tracing.Append).End("internal", true)
	span.Answered(tracing.Answer{Status: http.StatusInternalServerError, Problem: "internal"})
	now := time.Now()
	tracer.Delivered(delivery.Report{Message: delivery.Message{Traceparent: sampled}, Entered: now, First: now, Last: now, Readers: 1})
	tracer.Delivered(delivery.Report{Message: delivery.Message{Traceparent: sampled}, Entered: now, Behind: 1}) // nothing was written
	tracer.Close()
	tracer.Close()
	if s := tracer.Stats(); s != (tracing.Stats{Sent: 3}) {
		t.Errorf("got %+v, want 3 sent", s)
	}
}

// New does not wait for a collector.
func TestNew_ended(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
		ctx, cancel := context.WithCancel(t.Context())
		tracer, err := tracing.New(ctx, os.Getenv, tracing.Service{}, slog.New(slog.DiscardHandler))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		tracer.Close()
	}
}
