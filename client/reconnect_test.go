package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client"
)

// waits subscribes until n waits have begun, and returns their lengths.
func waits(t *testing.T, c *client.Client, n int) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []time.Duration
	sub := client.Subscription{OnRetry: func(_ error, wait time.Duration) {
		if got = append(got, wait); len(got) == n {
			cancel()
		}
	}}
	var last error
	for _, err := range c.Events(ctx, sub) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Fatalf("the loop ended with %v", last)
	}
	return got
}

func TestClient_Events_backoff(t *testing.T) {
	type span struct{ from, to time.Duration }
	const ms = time.Millisecond
	growing := []span{{0, 250 * ms}, {0, 500 * ms}, {0, 1000 * ms}, {0, 2000 * ms}, {0, 4000 * ms}, {0, 5000 * ms}, {0, 5000 * ms}}
	tests := []struct {
		name   string
		answer transport
		want   []span
	}{
		{"unreachable", func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, growing},
		{"a refusal that breaks off", func(*http.Request) (*http.Response, error) {
			return answer(403, "application/problem+json", io.MultiReader(strings.NewReader(`{"type":`), brokenReader{})), nil
		}, growing},
		{"500", func(*http.Request) (*http.Response, error) {
			return answer(500, "text/plain", strings.NewReader("")), nil
		}, growing},
		{
			"503 with Retry-After",
			func(*http.Request) (*http.Response, error) {
				return answer(503, "text/plain", strings.NewReader(""), "Retry-After: 3"), nil
			},
			[]span{{3000 * ms, 3000 * ms}, {3000 * ms, 3000 * ms}, {3000 * ms, 3000 * ms}, {3000 * ms, 3000 * ms}, {3000 * ms, 4000 * ms}, {3000 * ms, 5000 * ms}},
		},
		{
			"429 with an absurd Retry-After",
			func(*http.Request) (*http.Response, error) {
				return answer(429, "text/plain", strings.NewReader(""), "Retry-After: 999999"), nil
			},
			[]span{{5 * time.Minute, 5 * time.Minute}, {5 * time.Minute, 5 * time.Minute}},
		},
		{"retry field, which is for others", func(*http.Request) (*http.Response, error) { return events(openFrame(1)), nil }, growing},
		{
			"draining",
			func(*http.Request) (*http.Response, error) {
				return events(openFrame(1) + closeFrame(4002, "server_draining", true, 170)), nil
			},
			[]span{{170 * ms, 170 * ms}, {170 * ms, 500 * ms}},
		},
		{
			"draining, with an absurd wait",
			func(*http.Request) (*http.Response, error) {
				return events(openFrame(1) + closeFrame(4002, "server_draining", true, math.MaxInt64)), nil
			},
			[]span{{5 * time.Minute, 5 * time.Minute}, {5 * time.Minute, 5 * time.Minute}},
		},
		{
			"draining, with a negative wait",
			func(*http.Request) (*http.Response, error) {
				return events(openFrame(1) + closeFrame(4002, "server_draining", true, math.MinInt64)), nil
			},
			growing,
		},
		{
			"503 until the end of time",
			func(*http.Request) (*http.Response, error) {
				return answer(503, "text/plain", strings.NewReader(""), "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"), nil
			},
			[]span{{5 * time.Minute, 5 * time.Minute}},
		},
		{"garbage", func(*http.Request) (*http.Response, error) { return events("data: {\"id\":\n\n"), nil }, growing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := waits(t, over(t, tt.answer), len(tt.want))
				for i, wait := range got {
					if wait < tt.want[i].from || wait > tt.want[i].to {
						t.Errorf("wait %d is %v, want %v to %v", i+1, wait, tt.want[i].from, tt.want[i].to)
					}
				}
			})
		})
	}
}

// Clients that lose the same server must not reconnect together: each wait is random, up to a
// limit that doubles.
func TestClient_Events_backoffIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }
		bound := 250 * time.Millisecond
		var runs [40][]time.Duration
		for i := range runs {
			runs[i] = waits(t, over(t, refused), 7)
		}
		for n := range 7 {
			shortest, longest := time.Hour, time.Duration(0)
			for _, run := range runs {
				shortest, longest = min(shortest, run[n]), max(longest, run[n])
			}
			if shortest > bound/2 || longest < bound/2 || longest > bound {
				t.Errorf("wait %d of 40 clients is %v to %v, want all of 0 to %v", n+1, shortest, longest, bound)
			}
			bound = min(2*bound, 5*time.Second)
		}
	})
}

func TestClient_Events_stableConnectionResetsBackoff(t *testing.T) {
	for _, tt := range []struct {
		lived time.Duration
		short bool // the wait after it
	}{
		{4 * time.Second, false},
		{6 * time.Second, true},
	} {
		t.Run(fmt.Sprint(tt.lived), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				longest := time.Duration(0)
				for range 20 {
					requests := 0
					c := over(t, func(r *http.Request) (*http.Response, error) {
						if requests++; requests <= 8 {
							return nil, errors.New("refused")
						}
						return answer(200, stream, hanging(r.Context(), "", tt.lived)), nil
					})
					longest = max(longest, waits(t, c, 9)[8])
				}
				if (longest <= 250*time.Millisecond) != tt.short {
					t.Errorf("after a connection of %v the longest of 20 waits is %v", tt.lived, longest)
				}
			})
		})
	}
}

// On a flapping network, every connection lasts only a moment. The waits stay short as long as
// each connection delivers something new. $open and the status of a run, with which every
// connection begins, are not new.
func TestClient_Events_newEventResetsBackoff(t *testing.T) {
	run := "id: k3f9-3\nevent: $run\ndata: " + strings.Replace(messageJSON(2, `{"status":"running"}`), `"kind":"data"`, `"kind":"run"`, 1) + "\n\n"
	for _, tt := range []struct {
		name, text string
		short      bool
	}{
		{"a message", openFrame(3) + messageFrame(4), true},
		{"a position", openFrame(3) + "id: k3f9-4\nevent: $position\ndata: {}\n\n", true},
		{"nothing", openFrame(3), false},
		{"the run it began with", openFrame(3) + run, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				longest := time.Duration(0)
				for range 20 {
					requests := 0
					c := over(t, func(*http.Request) (*http.Response, error) {
						if requests++; requests <= 8 {
							return nil, errors.New("refused")
						}
						return events(tt.text), nil
					})
					longest = max(longest, waits(t, c, 9)[8])
				}
				if (longest <= 250*time.Millisecond) != tt.short {
					t.Errorf("the longest of 20 waits is %v", longest)
				}
			})
		})
	}
}

// hanging returns a body that delivers text and then nothing until it ends, after d or, like
// the body of a real connection, with ctx.
func hanging(ctx context.Context, text string, d time.Duration) io.Reader {
	return io.MultiReader(strings.NewReader(text), readerFunc(func([]byte) (int, error) {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(d):
			return 0, io.EOF
		}
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func withHeartbeat(ms int64) string {
	return strings.Replace(openFrame(1), `"resumed":`, fmt.Sprintf(`"heartbeat_ms":%d,"resumed":`, ms), 1)
}

func TestClient_Events_silence(t *testing.T) {
	heartbeats := func(ctx context.Context) io.Reader {
		left := 100
		return readerFunc(func(p []byte) (int, error) {
			if left == 0 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			left--
			time.Sleep(16 * time.Second)
			return copy(p, ":\n"), nil
		})
	}
	tests := []struct {
		name   string
		opts   []client.Option
		answer transport
		want   time.Duration // from the start until the connection is given up
	}{
		{
			name: "nothing",
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), openFrame(1), time.Hour)), nil
			},
			want: 37500 * time.Millisecond,
		},
		{
			name: "a hundred heartbeats, then nothing",
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, heartbeats(r.Context())), nil
			},
			want: 100*16*time.Second + 37500*time.Millisecond,
		},
		{
			name: "no answer to the request",
			answer: func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			},
			want: 37500 * time.Millisecond,
		},
		{
			name: "another interval",
			opts: []client.Option{client.WithHeartbeat(2 * time.Second)},
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), openFrame(1), time.Hour)), nil
			},
			want: 5 * time.Second,
		},
		{
			name: "an interval of the server's own",
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), withHeartbeat(60_000), time.Hour)), nil
			},
			want: 150 * time.Second,
		},
		{
			name: "the server's interval, and another one that was set",
			opts: []client.Option{client.WithHeartbeat(2 * time.Second)},
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), withHeartbeat(60_000), time.Hour)), nil
			},
			want: 5 * time.Second,
		},
		{
			name: "an absurd interval of the server",
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), withHeartbeat(math.MaxInt64), time.Hour)), nil
			},
			want: time.Hour,
		},
		{
			name: "a negative interval of the server",
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), withHeartbeat(-1), time.Hour)), nil
			},
			want: 37500 * time.Millisecond,
		},
		{
			name: "the longest interval there is",
			opts: []client.Option{client.WithHeartbeat(math.MaxInt64)},
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), openFrame(1), time.Hour)), nil
			},
			want: time.Hour,
		},
		{
			name: "switched off, whatever the server says",
			opts: []client.Option{client.WithHeartbeat(-1)},
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), withHeartbeat(1000), time.Hour)), nil
			},
			want: time.Hour,
		},
		{
			name: "switched off",
			opts: []client.Option{client.WithHeartbeat(0)},
			answer: func(r *http.Request) (*http.Response, error) {
				return answer(200, stream, hanging(r.Context(), openFrame(1), time.Hour)), nil
			},
			want: time.Hour,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				var lasted time.Duration
				sub := client.Subscription{OnRetry: func(error, time.Duration) { lasted = time.Since(start); cancel() }}
				for range over(t, tt.answer, tt.opts...).Events(ctx, sub) {
				}
				if lasted != tt.want {
					t.Errorf("given up after %v, want %v", lasted, tt.want)
				}
			})
		})
	}
}

// A slow loop body does not count as silence of the server.
func TestClient_Events_slowLoopIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := over(t, func(r *http.Request) (*http.Response, error) {
			frames := []string{openFrame(1), messageFrame(2)}
			return answer(200, stream, readerFunc(func(p []byte) (int, error) {
				if err := r.Context().Err(); err != nil {
					return 0, err
				}
				n := copy(p, frames[0])
				frames = frames[1:]
				return n, nil
			})), nil
		})
		sub := client.Subscription{OnRetry: func(err error, _ time.Duration) { t.Errorf("reconnected: %v", err) }}
		for event, err := range c.Events(t.Context(), sub) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			if event.Message != nil {
				break
			}
		}
	})
}

func TestClient_Events_contextEnds(t *testing.T) {
	tests := []struct {
		name   string
		answer transport
	}{
		{"while reading", func(r *http.Request) (*http.Response, error) {
			return answer(200, stream, hanging(r.Context(), openFrame(1), time.Hour)), nil
		}},
		{"while waiting", func(*http.Request) (*http.Response, error) {
			return answer(503, "text/plain", strings.NewReader(""), "Retry-After: 200"), nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
				defer cancel()
				start := time.Now()
				var last error
				for _, err := range over(t, tt.answer).Events(ctx, client.Subscription{}) {
					last = err
				}
				if !errors.Is(last, context.DeadlineExceeded) || time.Since(start) != 9*time.Second {
					t.Errorf("ended after %v with %v", time.Since(start), last)
				}
			})
		})
	}
}
