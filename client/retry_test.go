package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// failing answers the first requests with failures, one each, and later ones with a receipt. It
// records the idempotency keys.
type failing struct {
	failures []transport
	keys     []string
	bodies   []string
}

func (f *failing) answer(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	f.keys = append(f.keys, r.Header.Get("Idempotency-Key"))
	f.bodies = append(f.bodies, string(body))
	if n := len(f.keys) - 1; n < len(f.failures) {
		return f.failures[n](r)
	}
	return answer(201, "application/json", strings.NewReader(receiptJSON)), nil
}

func problem(status int, slug string, header ...string) transport {
	return func(*http.Request) (*http.Response, error) {
		return answer(status, "application/problem+json", strings.NewReader(`{"type":"/problems/`+slug+`","title":"T"}`), header...), nil
	}
}

func foreign(status int) transport {
	return func(*http.Request) (*http.Response, error) {
		return answer(status, "text/html", strings.NewReader("<h1>")), nil
	}
}

func broken(err error) transport {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func TestClient_Publish_retries(t *testing.T) {
	var (
		dial  = broken(&net.OpError{Op: "dial", Err: errors.New("connection refused")})
		reset = broken(&net.OpError{Op: "read", Err: errors.New("connection reset")})
	)
	halfAnswer := func(*http.Request) (*http.Response, error) {
		return answer(201, "application/json", io.MultiReader(strings.NewReader(receiptJSON[:9]), brokenReader{})), nil
	}
	halfRefusal := func(*http.Request) (*http.Response, error) {
		return answer(400, "application/problem+json", io.MultiReader(strings.NewReader(`{"type":`), brokenReader{})), nil
	}
	tests := []struct {
		name           string
		failure        transport
		plain, durable bool // tried again
	}{
		{"not connected", dial, true, true},
		{"connection lost", reset, false, true},
		{"answer lost", halfAnswer, false, true},
		{"refusal lost", halfRefusal, false, true},
		{"429", problem(429, "rate-limited"), true, true},
		{"503", problem(503, "draining"), true, true},
		{"503 of a proxy", foreign(503), false, true},
		{"502", foreign(502), false, true},
		{"504", foreign(504), false, true},
		{"408", foreign(408), false, true},
		{"500", problem(500, "internal"), false, false},
		{"401", problem(401, "unauthorized"), false, false},
		{"409", problem(409, "conflict"), false, false},
		{"422", problem(422, "schema-violation"), false, false},
	}
	for _, tt := range tests {
		for _, key := range []string{"", "k1"} {
			t.Run(tt.name+key, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &failing{failures: []transport{tt.failure, tt.failure}}
					var options []client.PublishOption
					again := tt.plain
					if key != "" {
						options, again = append(options, client.IdempotencyKey(key)), tt.durable
					}
					_, err := over(t, f.answer).Publish(t.Context(), "c", "t", 7, options...)
					attempts := 1
					if again {
						attempts = 3
					}
					if (err == nil) != again || len(f.keys) != attempts {
						t.Errorf("%d attempts, then %v", len(f.keys), err)
					}
					if want := slices.Repeat([]string{key}, attempts); !slices.Equal(f.keys, want) {
						t.Errorf("keys %q, want %q", f.keys, want)
					}
					if want := slices.Repeat([]string{"7\n"}, attempts); !slices.Equal(f.bodies, want) {
						t.Errorf("bodies %q, want %q", f.bodies, want)
					}
				})
			})
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWithRetries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		options  []client.Option
		attempts int
	}{
		{"default", nil, 1 + client.DefaultRetries},
		{"two", []client.Option{client.WithRetries(2)}, 3},
		{"off", []client.Option{client.WithRetries(0)}, 1},
		{"negative", []client.Option{client.WithRetries(-1)}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &failing{failures: slices.Repeat([]transport{problem(503, "draining", "Retry-After: 4")}, 9)}
				start := time.Now()
				_, err := over(t, f.answer, tt.options...).Publish(t.Context(), "c", "t", 7)
				var refused *client.Problem
				if !errors.As(err, &refused) || refused.Code() != "draining" || len(f.keys) != tt.attempts {
					t.Errorf("%d attempts, then %v", len(f.keys), err)
				}
				least := time.Duration(tt.attempts-1) * 4 * time.Second
				if took := time.Since(start); took < least || took > least*5/4 {
					t.Errorf("it took %v, the server asked for at least %v", took, least)
				}
			})
		})
	}
}

// If the deadline is before the time that the server asked for, Publish returns at once.
func TestClient_Publish_deadlineBeforeRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		f := &failing{failures: []transport{problem(503, "draining", "Retry-After: 60")}}
		_, err := over(t, f.answer).Publish(ctx, "c", "t", 7)
		var refused *client.Problem
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &refused) || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestClient_Publish_cancelledDuringWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		f := &failing{failures: []transport{problem(503, "draining", "Retry-After: 60")}}
		_, err := over(t, f.answer).Publish(ctx, "c", "t", 7)
		if !errors.Is(err, context.Canceled) || len(f.keys) != 1 {
			t.Errorf("%d attempts, then %v", len(f.keys), err)
		}
	})
}

// If the server only starts after the first attempt, the message is published once.
func TestClient_Publish_waitsForServer(t *testing.T) {
	s := startServer()
	address := s.url[len("http://"):]
	s.stop()
	own := new(http.Transport)
	defer own.CloseIdleConnections()
	refused := make(chan struct{})
	c := clientOf(t, s.url, client.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		resp, err := own.RoundTrip(r)
		if err != nil && refused != nil {
			close(refused)
			refused = nil
		}
		return resp, err
	})}))
	type outcome struct {
		receipt schemas.Receipt
		err     error
	}
	done := make(chan outcome, 1)
	wait := refused
	go func() {
		receipt, err := c.Publish(t.Context(), "c", "t", 7)
		done <- outcome{receipt, err}
	}()
	<-wait
	s = listen(address)
	defer s.stop()
	if got := <-done; got.err != nil || got.receipt.ID.String() != "1-1" {
		t.Errorf("receipt %+v, %v", got.receipt, got.err)
	}
}
