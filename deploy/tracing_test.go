package deploy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/sluicehq/sluice/internal/natstest"
)

// collect starts the OTLP receiver of the OpenTelemetry Collector, and returns its endpoint
// and what it receives.
func collect(t *testing.T, protocol string) (endpoint string, spans *consumertest.TracesSink) {
	t.Helper()
	name := map[string]string{"grpc": "grpc", "http/protobuf": "http"}[protocol]
	factory := otlpreceiver.NewFactory()
	spans = new(consumertest.TracesSink)
	for try := 1; ; try++ {
		address := freeAddress(t)
		config := factory.CreateDefaultConfig()
		given := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{name: map[string]any{"endpoint": address}}})
		if err := given.Unmarshal(config); err != nil {
			t.Fatal(err)
		}
		receiver, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(factory.Type()), config, spans)
		if err != nil {
			t.Fatal(err)
		}
		err = receiver.Start(context.WithoutCancel(t.Context()), componenttest.NewNopHost())
		if err != nil && try < 10 { // another process has taken the port meanwhile
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := receiver.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return "http://" + address, spans
	}
}

// freeAddress returns an address on which nobody listens now. The receiver does not say on
// which one it listens, so it has to be told.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// received returns the spans that have arrived, by name.
func received(sink *consumertest.TracesSink) map[string][]ptrace.Span { return receivedOf(sink, "") }

// receivedOf returns the spans of the service that have arrived, by name. The service "" is
// all of them.
func receivedOf(sink *consumertest.TracesSink, service string) map[string][]ptrace.Span {
	spans := make(map[string][]ptrace.Span)
	for _, traces := range sink.AllTraces() {
		for _, resource := range traces.ResourceSpans().All() {
			if name, _ := resource.Resource().Attributes().Get("service.name"); service != "" && name.Str() != service {
				continue
			}
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					spans[span.Name()] = append(spans[span.Name()], span)
				}
			}
		}
	}
	return spans
}

// reader is a stream that is read.
type reader struct {
	lines  chan string
	cancel context.CancelFunc
}

// subscribe opens a stream and waits until it has sent what was there.
func (s *server) subscribe(t *testing.T, query string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/subscribe?"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // the goroutine closes it
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r := &reader{lines: make(chan string), cancel: cancel}
	go func() { // ends with cancel
		defer resp.Body.Close()
		defer close(r.lines)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			select {
			case r.lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range r.lines { // until the goroutine has ended
		}
	})
	r.until(t, `"$live"`)
	return r
}

// until returns the next line that has the text.
func (r *reader) until(t *testing.T, text string) string {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, more := <-r.lines:
			if strings.Contains(line, text) {
				return line
			}
			if !more {
				t.Fatalf("the stream ended before %s", text)
			}
		case <-late:
			t.Fatalf("%s does not come", text)
		}
	}
}

// publish publishes a message with further headers, and returns the answer.
func (s *server) publish(t *testing.T, path, body string, headers ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// An answer to lines begins before they are published.
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s, %v: %s", resp.Status, err, text)
	}
}

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	parentSpan  = "b7ad6b7169203331"
	secretData  = "the-payload-of-a-message"
)

// traced starts a server that sends spans to the endpoint.
func traced(t *testing.T, endpoint string, environ ...string) *server {
	t.Helper()
	environ = append([]string{"SLUICE_API_KEYS=" + testKey, "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint}, environ...)
	return start(t, environ, "--dev", "--listen", "127.0.0.1:0", "--drain-timeout", "1s")
}

// TestTracing publishes to a stream, and compares the spans that a collector receives once
// the server has drained.
func TestTracing(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		for _, route := range []string{"front", "net/http"} {
			t.Run(protocol+" "+route, func(t *testing.T) {
				endpoint, sink := collect(t, protocol)
				s := traced(t, endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_BSP_SCHEDULE_DELAY=3600000",
					"OTEL_SERVICE_NAME=gate", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
				headers := []string{"Traceparent", "00-" + parentTrace + "-" + parentSpan + "-01", "Tracestate", "vendor=1"}
				if route == "net/http" {
					headers = append(headers, "X-Unknown", "the front does not know this")
				}
				s.publish(t, "/v1/publish/orders/status", `"what was there"`, "Traceparent", "00-"+parentTrace+"-"+parentSpan+"-00")
				r := s.subscribe(t, "channel=orders&replay=all")
				s.publish(t, "/v1/publish/orders/status", `"`+secretData+`"`, headers...)
				line := r.until(t, secretData)
				r.cancel()
				s.drain(t)
				checkTrace(t, sink, line)
			})
		}
	}
}

// checkTrace compares the spans of one publish, whose message a reader has got.
func checkTrace(t *testing.T, sink *consumertest.TracesSink, line string) {
	t.Helper()
	var message struct{ ID, Traceparent string }
	if err := json.Unmarshal([]byte(line), &message); err != nil {
		t.Fatal(err)
	}
	if want := "00-" + parentTrace + "-" + parentSpan + "-01"; message.Traceparent != want {
		t.Errorf("the message has the traceparent %q, want that of its publisher: %q", message.Traceparent, want)
	}
	spans := received(sink)
	subscribe := one(t, spans, "subscribe")
	if subscribe.TraceID().String() == parentTrace || subscribe.Kind() != ptrace.SpanKindServer {
		t.Errorf("subscribe is of the kind %s, in the trace of another request", subscribe.Kind())
	}
	checkAttributes(t, subscribe, map[string]any{
		"messaging.system": "sluice", "messaging.operation.name": "subscribe", "messaging.operation.type": "receive",
		"messaging.destination.name": "orders", "messaging.batch.message_count": int64(1), "sluice.channels": int64(1),
		"http.request.method": "GET", "http.route": "/v1/subscribe", "http.response.status_code": int64(200),
	})
	publish, appended, deliver := one(t, spans, "publish"), one(t, spans, "append"), one(t, spans, "deliver")
	for _, span := range []ptrace.Span{publish, appended, deliver} {
		if span.TraceID().String() != parentTrace {
			t.Errorf("%s is in the trace %s, want %s", span.Name(), span.TraceID(), parentTrace)
		}
	}
	if publish.ParentSpanID().String() != parentSpan || deliver.ParentSpanID().String() != parentSpan || appended.ParentSpanID() != publish.SpanID() {
		t.Errorf("the parents are %s, %s, %s; want the publisher, the publisher, %s",
			publish.ParentSpanID(), deliver.ParentSpanID(), appended.ParentSpanID(), publish.SpanID())
	}
	if publish.TraceState().AsRaw() != "vendor=1" || publish.Kind() != ptrace.SpanKindServer {
		t.Errorf("publish has the tracestate %q and is of the kind %s", publish.TraceState().AsRaw(), publish.Kind())
	}
	checkAttributes(t, publish, map[string]any{
		"messaging.system": "sluice", "messaging.operation.name": "publish", "messaging.operation.type": "send",
		"messaging.destination.name": "orders", "messaging.message.id": message.ID, "messaging.message.body.size": int64(len(secretData) + 2),
		"sluice.topic": "status", "http.request.method": "POST", "http.route": "/v1/publish/:channel/:topic", "http.response.status_code": int64(201),
	})
	checkAttributes(t, deliver, map[string]any{
		"messaging.system": "sluice", "messaging.operation.name": "deliver", "messaging.destination.name": "orders",
		"messaging.message.id": message.ID, "sluice.topic": "status", "sluice.readers": int64(1), "sluice.readers.behind": int64(0),
	})
	var events []string
	for _, event := range deliver.Events().All() {
		events = append(events, event.Name())
	}
	if !slices.Equal(events, []string{"first write", "last write"}) || deliver.EndTimestamp() != deliver.Events().At(1).Timestamp() {
		t.Errorf("deliver has the events %q, and does not end with the last", events)
	}
	if deliver.StartTimestamp() < publish.StartTimestamp() || deliver.StartTimestamp() > deliver.Events().At(0).Timestamp() {
		t.Error("deliver does not begin between the request and the first write")
	}
	checkOrigin(t, sink)
}

// checkOrigin compares what spans say of the server, and that they say no more than they may.
func checkOrigin(t *testing.T, sink *consumertest.TracesSink) {
	t.Helper()
	for _, traces := range sink.AllTraces() {
		resource := traces.ResourceSpans().At(0).Resource().Attributes().AsRaw()
		for key, want := range map[string]any{"service.name": "gate", "deployment.environment.name": "test", "sluice.engine": "memory"} {
			if resource[key] != want {
				t.Errorf("the resource has %s %v, want %v", key, resource[key], want)
			}
		}
		text, err := new(ptrace.JSONMarshaler).MarshalTraces(traces)
		if err != nil || strings.Contains(string(text), secretData) || strings.Contains(string(text), testKey) {
			t.Errorf("%v, or the spans have a payload or a key: %s", err, text)
		}
	}
}

func one(t *testing.T, spans map[string][]ptrace.Span, name string) ptrace.Span {
	t.Helper()
	if len(spans[name]) != 1 {
		t.Fatalf("there are %d spans %s, want 1, of %d kinds", len(spans[name]), name, len(spans))
	}
	return spans[name][0]
}

func checkAttributes(t *testing.T, span ptrace.Span, want map[string]any) {
	t.Helper()
	got := span.Attributes().AsRaw()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s has %s %v, want %v", span.Name(), key, got[key], value)
		}
	}
	for key, value := range got {
		if _, known := want[key]; !known {
			t.Errorf("%s has %s %v", span.Name(), key, value)
		}
	}
}

// Without a traceparent of its publisher, a message has that of the server's span, and what
// is delivered follows from it. So does each message of an array, and each line.
func TestTracing_own(t *testing.T) {
	endpoint, sink := collect(t, "http/protobuf")
	s := traced(t, endpoint)
	r := s.subscribe(t, "channel=orders")
	s.publish(t, "/v1/publish/orders/status", `{"n":1}`)
	s.publish(t, "/v1/publish", `[{"channel":"orders","topic":"a","data":{"n":2}},{"channel":"orders","topic":"b","data":{"n":3}}]`)
	s.publish(t, "/v1/publish", `{"channel":"orders","topic":"c","data":{"n":4}}`, "Content-Type", "application/x-ndjson")
	s.publish(t, "/v1/publish", `{"channel":"orders","topic":"d","data":{"n":5},"traceparent":"00-`+parentTrace+"-"+parentSpan+`-01"}`)
	parents := make(map[string]string) // of what is delivered, by id
	for n := 1; n <= 5; n++ {
		var message struct{ ID, Traceparent string }
		if err := json.Unmarshal([]byte(r.until(t, `{"n":`+strconv.Itoa(n)+`}`)), &message); err != nil {
			t.Fatal(err)
		}
		if len(message.Traceparent) != 55 || message.Traceparent[53:] != "01" {
			t.Fatalf("message %d has the traceparent %q", n, message.Traceparent)
		}
		parents[message.ID] = message.Traceparent[36:52]
	}
	r.cancel()
	s.drain(t)
	spans := received(sink)
	if len(spans["deliver"]) != 5 || len(spans["append"]) != 5 || len(spans["publish"]) != 6 {
		t.Fatalf("there are %d, %d and %d spans, want 5, 5, and 6 with the request of the array", len(spans["deliver"]), len(spans["append"]), len(spans["publish"]))
	}
	published := make(map[string]string) // spans, by id of the message
	for _, span := range spans["publish"] {
		if id, some := span.Attributes().Get("messaging.message.id"); some {
			published[id.Str()] = span.SpanID().String()
			if span.TraceID().String() == parentTrace { // its publisher's own span
				published[id.Str()] = span.ParentSpanID().String()
			}
		}
	}
	for _, span := range spans["deliver"] {
		id, _ := span.Attributes().Get("messaging.message.id")
		if got := span.ParentSpanID().String(); got != parents[id.Str()] || got != published[id.Str()] {
			t.Errorf("message %s is delivered in %s, names %s and was published in %s", id.Str(), got, parents[id.Str()], published[id.Str()])
		}
	}
}

// TestTracing_cluster reads at one node what was published at another one. The node of the
// reader says when the message was delivered, in the trace of its publisher.
func TestTracing_cluster(t *testing.T) {
	nats := natstest.Start(t, "")
	endpoint, sink := collect(t, "http/protobuf")
	node := func(name string) *server {
		environ := []string{"SLUICE_API_KEYS=" + testKey, "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_SERVICE_NAME=" + name}
		return start(t, environ, "--listen", "127.0.0.1:0", "--drain-timeout", "1s", "--nats", nats.URL())
	}
	writes, reads := node("writes"), node("reads")
	r := reads.subscribe(t, "channel=orders")
	parents := make(map[string]string) // of what is delivered, by id
	for body, headers := range map[string][]string{
		`{"n":1}`: {"Traceparent", "00-" + parentTrace + "-" + parentSpan + "-01"},
		`{"n":2}`: nil, // it follows from the span of the node that published it
	} {
		writes.publish(t, "/v1/publish/orders/status", body, headers...)
		var message struct{ ID, Traceparent string }
		if err := json.Unmarshal([]byte(r.until(t, body)), &message); err != nil {
			t.Fatal(err)
		}
		parents[message.ID] = message.Traceparent
	}
	r.cancel()
	writes.drain(t)
	reads.drain(t)
	if spans := receivedOf(sink, "reads"); len(spans["publish"]) != 0 || len(spans["append"]) != 0 || len(spans["deliver"]) != 2 {
		t.Fatalf("the node of the reader sent %d, %d and %d spans, want 2 deliver alone", len(spans["publish"]), len(spans["append"]), len(spans["deliver"]))
	}
	own := make(map[string]string) // spans of the node that published, by id of the message
	for _, span := range receivedOf(sink, "writes")["publish"] {
		id, _ := span.Attributes().Get("messaging.message.id")
		own[id.Str()] = span.SpanID().String()
		if span.TraceID().String() == parentTrace { // its publisher's own span
			own[id.Str()] = parentSpan
		}
	}
	for _, span := range receivedOf(sink, "reads")["deliver"] {
		id, _ := span.Attributes().Get("messaging.message.id")
		if got := "00-" + span.TraceID().String() + "-" + span.ParentSpanID().String() + "-01"; got != parents[id.Str()] || span.ParentSpanID().String() != own[id.Str()] {
			t.Errorf("message %s is delivered in %s, names %s and was published in %s", id.Str(), got, parents[id.Str()], own[id.Str()])
		}
		checkAttributes(t, span, map[string]any{
			"messaging.system": "sluice", "messaging.operation.name": "deliver", "messaging.destination.name": "orders",
			"messaging.message.id": id.Str(), "sluice.topic": "status", "sluice.readers": int64(1), "sluice.readers.behind": int64(0),
		})
	}
}

// The sampler decides, and what is not sampled leaves no trace in messages.
func TestTracing_sampler(t *testing.T) {
	notSampled := "00-" + parentTrace + "-" + parentSpan + "-00"
	for _, tt := range []struct {
		name        string
		environ     []string
		traceparent string // of the publisher
		want        int    // spans publish
		message     bool   // has a traceparent
	}{
		{"parent", nil, notSampled, 0, true},
		{"always", []string{"OTEL_TRACES_SAMPLER=always_on"}, notSampled, 1, true},
		{"never", []string{"OTEL_TRACES_SAMPLER=always_off"}, "", 0, false},
		{"none", []string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"}, "", 0, false},
		{"all", []string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=1"}, "", 1, true},
		{"disabled", []string{"OTEL_SDK_DISABLED=true"}, "", 0, false},
		{"no exporter", []string{"OTEL_TRACES_EXPORTER=none"}, "", 0, false},
		{"unknown exporter", []string{"OTEL_TRACES_EXPORTER=zipkin"}, "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			endpoint, sink := collect(t, "http/protobuf")
			s := traced(t, endpoint, tt.environ...)
			r := s.subscribe(t, "channel=orders")
			var headers []string
			if tt.traceparent != "" {
				headers = []string{"Traceparent", tt.traceparent}
			}
			s.publish(t, "/v1/publish/orders/status", `{"n":1}`, headers...)
			line := r.until(t, `{"n":1}`)
			r.cancel()
			s.drain(t)
			spans := received(sink)
			if len(spans["publish"]) != tt.want || len(spans["deliver"]) != tt.want {
				t.Errorf("got %d spans publish and %d deliver, want %d", len(spans["publish"]), len(spans["deliver"]), tt.want)
			}
			if strings.Contains(line, "traceparent") != tt.message {
				t.Errorf("got %s; with traceparent: want %t", line, tt.message)
			}
		})
	}
}

// A collector that never answers holds up neither publishes nor the drain. Its spans are
// dropped and counted, and the log says so once.
func TestTracing_hanging(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() // it accepts connections, as the system does, and nobody reads
			s := traced(t, "http://"+l.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_BSP_MAX_QUEUE_SIZE=16", "OTEL_BSP_SCHEDULE_DELAY=1")
			for range 40 {
				s.publish(t, "/v1/publish/orders/status", `{"n":1}`)
			}
			if metrics := s.call(t, http.StatusOK, http.MethodGet, "/metrics", ""); !strings.Contains(metrics, "\nsluice_spans_dropped_total 64\n") {
				t.Error("of 80 spans, 16 fit into the queue; the metrics do not say that 64 were dropped")
			}
			began := time.Now()
			s.drain(t)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("the drain took %v", took)
			}
			if n := strings.Count(s.out.String(), "spans dropped"); n != 1 {
				t.Errorf("the log says %d times that spans were dropped:\n%s", n, s.out)
			}
		})
	}
}
