package handlers_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/tracing"
)

// tracer returns one whose spans go to a collector that takes everything.
func tracer(t testing.TB, sampler string) *tracing.Tracer {
	t.Helper()
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_TRACES_SAMPLER", sampler)
	made := must(tracing.New(t.Context(), os.Getenv, tracing.Service{Version: "test"}, slog.New(slog.DiscardHandler)))
	t.Cleanup(made.Close)
	return made
}

// The log line of a request that failed has the id of its trace, and other lines have none.
func TestTrace_log(t *testing.T) {
	for sampler, want := range map[string]string{"always_on": `"trace_id":"` + traceparent[3:35] + `"`, "always_off": ""} {
		t.Run(sampler, func(t *testing.T) {
			for _, front := range []bool{false, true} {
				srv := start(t, func(o *setup) { o.handlers.Tracer, o.front = tracer(t, sampler), front })
				srv.send(t, call{
					path: "/v1/publish/c/t", method: http.MethodPost, as: "wrong", body: `1`, header: map[string]string{"Traceparent": traceparent},
				})
				line := srv.log.String()
				if strings.Contains(line, "trace_id") != (want != "") || !strings.Contains(line, want) {
					t.Errorf("front %t: the log has %s", front, line)
				}
			}
		})
	}
}

// BenchmarkPublish_tracing publishes without tracing, with a trace that is not sampled, and
// with one that is.
func BenchmarkPublish_tracing(b *testing.B) {
	for _, sampler := range []string{"off", "always_off", "always_on"} {
		srv := start(b, asInstalled, func(o *setup) {
			if sampler != "off" {
				o.handlers.Tracer = tracer(b, sampler)
			}
		})
		b.Run("front "+sampler, func(b *testing.B) { benchmarkOf(b, srv.frontPublish(b)) })
		b.Run("net-http "+sampler, func(b *testing.B) {
			benchmarkOf(b, publishRequest(b, srv.handler, "/v1/publish/pipeline:run_42/tokens"))
		})
	}
}
