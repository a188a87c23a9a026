package handlers_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/front"
	"github.com/sluicehq/sluice/internal/ratelimit"
)

// sink receives the response of a handler that is called without a connection.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func (s *sink) WriteHeader(status int) { s.status = status }

// Flush implements [http.Flusher].
func (s *sink) Flush() {}

// asInstalled sets the defaults of the program instead of those of the tests.
func asInstalled(o *setup) { o.level, o.broker.Pace = slog.LevelInfo, 0 }

const benchBody = `{"token":"Hello","step":"answer","index":17,"model":"some-model-name","usage":{"in":120,"out":64}}`

// publishRequest returns a function that publishes once through h.
func publishRequest(b *testing.B, h http.Handler, path string) func() {
	text := strings.NewReader(benchBody)
	body := io.NopCloser(text)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://localhost"+path, body)
	if err != nil {
		b.Fatal(err)
	}
	req.RemoteAddr, req.ContentLength = "127.0.0.1:1", int64(len(benchBody))
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/json")
	return func() {
		text.Reset(benchBody)
		req.Body = body // the handler has put its own in place of it
		w := &sink{header: make(http.Header)}
		if h.ServeHTTP(w, req); w.status >= 300 {
			b.Fatal(w.status)
		}
	}
}

// bare does only what any handler must do that reads a body and answers.
func bare(w http.ResponseWriter, r *http.Request) {
	if _, err := io.ReadAll(r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"ok":true}`)
}

// BenchmarkPublish compares a publish with a handler that does nothing, both without a
// connection. The ratio is the cost of Sluice itself.
func BenchmarkPublish(b *testing.B) {
	srv := start(b, asInstalled)
	publish := publishRequest(b, srv.handler, "/v1/publish/pipeline:run_42/tokens")
	nothing := publishRequest(b, http.HandlerFunc(bare), "/")
	b.ReportAllocs()
	for b.Loop() {
		publish()
	}
	own := b.Elapsed() / time.Duration(b.N)
	began := time.Now()
	for range b.N {
		nothing()
	}
	b.ReportMetric(float64(own)/float64(time.Since(began)/time.Duration(b.N)), "×bare-handler")
}

// BenchmarkPublish_limits publishes through the front and through net/http, without limits of
// rate, as by default, and with all of them.
func BenchmarkPublish_limits(b *testing.B) {
	rate := ratelimit.Rate{Messages: 1 << 30, Bytes: 1 << 40}
	for name, limits := range map[string]*ratelimit.Limits{"off": nil, "on": ratelimit.New(ratelimit.Options{Key: rate, Subject: rate, Address: rate})} {
		srv := start(b, asInstalled, func(o *setup) { o.handlers.Limits = limits })
		b.Run("front, "+name, func(b *testing.B) { benchmarkOf(b, srv.frontPublish(b)) })
		b.Run("net/http, "+name, func(b *testing.B) {
			benchmarkOf(b, publishRequest(b, srv.handler, "/v1/publish/pipeline:run_42/tokens"))
		})
	}
}

func benchmarkOf(b *testing.B, publish func()) {
	b.ReportAllocs()
	for b.Loop() {
		publish()
	}
}

// frontPublish returns what publishes a message through the front, without a connection.
func (s *server) frontPublish(t testing.TB) func() {
	r := &front.Request{
		Remote: "192.0.2.1:1234", Path: []byte("/v1/publish/pipeline:run_42/tokens"), Host: []byte("localhost"),
		Authorization: []byte("Bearer " + apiKey), ContentType: []byte("application/json"), Body: []byte(benchBody),
	}
	out := make([]byte, 0, 1<<10)
	return func() {
		if answer, o := s.service.Answer(t.Context(), r, out); o != front.Answered || !bytes.HasPrefix(answer, []byte("HTTP/1.1 201")) {
			t.Fatalf("%d: %s", o, answer)
		}
	}
}

// BenchmarkPublish_loopback is BenchmarkPublish over real connections.
func BenchmarkPublish_loopback(b *testing.B) {
	srv := start(b, asInstalled)
	other := &http.Server{Handler: http.HandlerFunc(bare), ReadHeaderTimeout: time.Second}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = other.Serve(l) }() // ends with Close
	defer other.Close()
	publish := srv.poster(b, "/v1/publish/pipeline:run_42/tokens")
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	plain := &server{t: b, url: "http://" + l.Addr().String(), http: &http.Client{Transport: transport}}
	nothing := plain.poster(b, "/")
	for b.Loop() {
		publish()
	}
	own := b.Elapsed() / time.Duration(b.N)
	began := time.Now()
	for range b.N {
		nothing()
	}
	b.ReportMetric(float64(own)/float64(time.Since(began)/time.Duration(b.N)), "×bare-handler")
}

func (s *server) poster(b *testing.B, path string) func() {
	return func() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.url+path, strings.NewReader(benchBody))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+apiKey)
		req.Header.Set("Content-Type", "application/json")
		resp, err := s.http.Do(req)
		if err != nil || resp.StatusCode != http.StatusCreated {
			b.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// BenchmarkPublishLines publishes many messages over one connection. It compares the cost of one
// with that of a separate publish in the same run.
func BenchmarkPublishLines(b *testing.B) {
	srv := start(b, asInstalled)
	text := `{"channel":"pipeline:run_42","topic":"tokens","data":` + benchBody + "}\n"
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, srv.url+"/v1/publish", r)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := srv.http.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	b.ResetTimer()
	go func() { // ends when all are written
		out := bufio.NewWriterSize(w, 32<<10)
		for range b.N {
			_, _ = out.WriteString(text)
		}
		_ = out.Flush()
		w.Close()
	}()
	in := bufio.NewScanner(resp.Body)
	receipts := 0
	for in.Scan() {
		receipts++
	}
	b.StopTimer()
	if receipts != b.N || in.Err() != nil {
		b.Fatal(receipts, in.Err())
	}
	single := publishRequest(b, srv.handler, "/v1/publish/pipeline:run_42/tokens")
	began := time.Now()
	for range b.N {
		single()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(time.Since(began)), "×single-handler")
}

// BenchmarkIdleStreams keeps streams open and prints the memory for each: Go's heap and stacks,
// and the process as a whole, including the client's side (about a KiB each).
func BenchmarkIdleStreams(b *testing.B) {
	const streams = 5000
	srv := start(b, asInstalled, func(o *setup) { o.broker.Heartbeat = time.Hour })
	token := srv.token("channel", "*")
	head := "GET /v1/subscribe?channel=channel HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	for b.Loop() {
		before, rss := memory()
		conns := make([]net.Conn, streams)
		buf := make([]byte, 4096)
		for i := range conns {
			conns[i] = srv.connect(b)
			if _, err := io.WriteString(conns[i], head); err != nil {
				b.Fatal(err)
			}
			for got := ""; !strings.Contains(got, "$open"); {
				n, err := conns[i].Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				got += string(buf[:n])
			}
		}
		after, rssAfter := memory()
		b.ReportMetric(float64(after-before)/streams, "Go-bytes/stream")
		b.ReportMetric(float64(rssAfter-rss)/streams, "RSS-bytes/stream")
		for _, c := range conns {
			c.Close()
		}
		for srv.broker.Stats().Streams > 0 {
			runtime.Gosched()
		}
	}
}

// memory returns the size of heap and stacks after a collection, and the resident size of the
// process.
func memory() (inUse, resident uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return m.HeapInuse + m.StackInuse, 0
	}
	var pages uint64
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		pages, _ = strconv.ParseUint(fields[1], 10, 64)
	}
	return m.HeapInuse + m.StackInuse, pages * uint64(os.Getpagesize())
}
