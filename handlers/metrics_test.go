package handlers_test

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/sluicehq/sluice/broker"
)

// TestMetrics_lint looks at /metrics with the checks of `promtool check metrics`.
func TestMetrics_lint(t *testing.T) {
	srv := start(t)
	page := srv.check(t, call{method: "GET", path: "/metrics", status: 200}).body
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "sluice_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// metric returns the value of a series, as /metrics shows it.
func (s *server) metric(t testing.TB, series string) string {
	t.Helper()
	page := s.check(t, call{method: "GET", path: "/metrics", status: 200}).body
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("there is no %s in\n%s", series, page)
	}
	return found[1]
}

// awaitMetric waits until a series has a value. Streams are counted when they are over,
// which clients do not see.
func (s *server) awaitMetric(t testing.TB, series, want string) {
	t.Helper()
	got := s.metric(t, series)
	for patience := time.Now().Add(2 * time.Minute); got != want && time.Now().Before(patience); got = s.metric(t, series) {
		runtime.Gosched()
	}
	if got != want {
		t.Errorf("%s is %s, want %s", series, got, want)
	}
}

func TestMetrics_streamsByPath(t *testing.T) {
	all := map[string]string{ // by the path of a test
		"writer loops": "loop http/1", "front": "loop http/1", "writer loops, sealed": "tls_loop http/1", "portable": "portable http/1", "http/2": "portable http/2",
	}
	for _, p := range append(paths(), path{"front", func(o *setup) { o.front = true }}, path{"http/2", func(o *setup) { o.h2 = true }}) {
		t.Run(p.name, func(t *testing.T) {
			srv := start(t, p.change)
			if !srv.broker.HasLoops() && p.name != "portable" && p.name != "http/2" {
				t.Skip("there are no writer loops")
			}
			want := all[p.name]
			if want == "" {
				t.Fatalf("the test does not know %q", p.name)
			}
			series := func(by string) string {
				path, protocol, _ := strings.Cut(by, " ")
				return fmt.Sprintf(`sluice_streams_by_path{path="%s",protocol="%s"}`, path, protocol)
			}
			feed := srv.open(t, call{as: apiKey, path: "channel=c"})
			feed.after("$open")
			for _, by := range all {
				n := "0"
				if by == want {
					n = "1"
				}
				if got := srv.metric(t, series(by)); got != n {
					t.Errorf("%s is %s, want %s", series(by), got, n)
				}
			}
			// Each of them measures deliveries, though not all.
			for n := 0; srv.metric(t, "sluice_delivery_seconds_count") == "0"; n++ {
				if n == 1000 {
					t.Fatalf("%d deliveries, and none was measured", n)
				}
				srv.publish("c", "t", "1")
				feed.after("t")
			}
			if behind := srv.metric(t, "sluice_reader_behind_messages_count"); behind == "0" {
				t.Errorf("a delivery was measured, and not how far the reader was behind")
			}
			feed.close()
			srv.awaitMetric(t, series(want), "0")
		})
	}
}

// A limit that refuses something is counted by its name, however it is answered.
func TestMetrics_limits(t *testing.T) {
	lines := map[string]string{"Accept": "application/x-ndjson"}
	stream := func(as string) []call {
		return []call{
			{method: "GET", path: "/v1/subscribe?channel=c", as: as, header: lines, status: 429},
			{method: "GET", path: "/v1/subscribe?channel=c", as: as, status: 200},
		}
	}
	over := strings.Repeat("1", maxEvent)
	for _, tt := range []struct {
		limit  string
		change func(*broker.Options)
		calls  func(srv *server) []call
	}{
		{"max_streams", func(o *broker.Options) { o.MaxStreams = 1 }, func(*server) []call { return stream(apiKey) }},
		{"max_streams_per_subject", func(o *broker.Options) { o.MaxStreamsPerSubject = 1 }, func(srv *server) []call { return stream(srv.token("c", "*")) }},
		{"max_streams_per_address", func(o *broker.Options) { o.MaxStreamsPerAddress = 1 }, func(*server) []call { return stream(apiKey) }},
		{"max_channels", func(o *broker.Options) { o.MaxChannels = 1 }, func(*server) []call {
			return []call{{method: "POST", path: "/v1/publish/d/t", as: apiKey, body: "1", status: 429}, {method: "POST", path: "/v1/publish", as: apiKey, body: `[{"channel":"d","topic":"t","data":1}]`, status: 200}}
		}},
		{"max_channels_per_stream", func(o *broker.Options) { o.MaxChannelsPerStream = 1 }, func(*server) []call {
			return []call{{method: "GET", path: "/v1/subscribe?channel=c&channel=d", as: apiKey, status: 400}, {method: "GET", path: "/v1/subscribe?channel=c&channel=e", as: apiKey, status: 400}}
		}},
		{"max_message_bytes", nil, func(*server) []call {
			return []call{{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: over, status: 413}, {method: "POST", path: "/v1/publish", as: apiKey, body: `[{"channel":"c","topic":"t","data":` + over + `}]`, status: 200}}
		}},
		{"body_bytes", nil, func(*server) []call {
			return []call{{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: over + over + "1", status: 413}, {method: "PUT", path: "/v1/channels/c/run", as: apiKey, body: over + over + "1", status: 413}}
		}},
	} {
		for _, p := range append(paths(), path{"front", func(o *setup) { o.front = true }}) {
			t.Run(tt.limit+" "+p.name, func(t *testing.T) {
				change := tt.change
				if change == nil {
					change = func(*broker.Options) {}
				}
				srv := start(t, p.change, limitsOf(change))
				calls := tt.calls(srv)
				if strings.HasPrefix(tt.limit, "max_") { // its one place is taken
					feed := srv.open(t, call{as: calls[0].as, path: "channel=c"})
					feed.after("$open")
					defer feed.close()
					srv.publish("c", "t", "1")
				}
				for _, c := range calls {
					if got := srv.send(t, c).status; got != c.status {
						t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.status)
					}
				}
				page := srv.check(t, call{method: "GET", path: "/metrics", status: 200}).body
				for line := range strings.Lines(page) {
					if !strings.HasPrefix(line, "sluice_limit_refusals_total{") {
						continue
					}
					want := "0\n"
					if strings.Contains(line, `limit="`+tt.limit+`"`) {
						want = "2\n"
					}
					if !strings.HasSuffix(line, "} "+want) {
						t.Errorf("got %s, want %s", line, want)
					}
				}
			})
		}
	}
}
