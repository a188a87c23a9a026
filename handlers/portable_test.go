package handlers_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/handlers"
)

// output is a response writer that tells of each write, and a connection that may be
// corked.
type output struct {
	*httptest.ResponseRecorder
	write func(p []byte)

	mu     sync.Mutex
	corked bool // guarded by mu
	corks  int  // guarded by mu; how often it was corked
}

func (o *output) Write(p []byte) (int, error) {
	o.write(p)
	return len(p), nil
}

func (o *output) Reserved() bool { return false }

func (o *output) Dispensable() {}

func (o *output) Cork(*bytes.Buffer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = true
	o.corks++
}

func (o *output) Uncork() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = false
	return nil
}

// streamTo serves a stream of all of channel c to o, and returns what ServeHTTP panics with
// when it is over.
func (s *server) streamTo(ctx context.Context, o *output, major int) <-chan any {
	r := httptest.NewRequest(http.MethodGet, "/v1/subscribe?channel=c&replay=all", nil)
	r.ProtoMajor, r.ProtoMinor = major, 1
	r.Header.Set("Authorization", "Bearer "+apiKey)
	r.Header.Set("X-Request-Id", "portable")
	r = r.WithContext(handlers.WithConnection(ctx, o))
	over := make(chan any, 1)
	go func() { // ends with the stream
		defer func() { over <- recover() }()
		s.service.ServeHTTP(o, r)
	}()
	return over
}

// What net/http would send in parts is sent in one go, where nobody else writes.
func TestStream_cork(t *testing.T) {
	srv := start(t, func(o *setup) { o.broker.Loops = -1 })
	srv.publish("c", "t", `"`+strings.Repeat("x", 10_000)+`"`)
	for _, tt := range []struct{ major, corks int }{{1, 1}, {2, 0}} {
		o := &output{ResponseRecorder: httptest.NewRecorder()}
		came := make(chan struct{})
		o.write = func(p []byte) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if want := len(p) > 5000 && tt.corks > 0; o.corked != want {
				t.Errorf("HTTP/%d: corked is %t for %d bytes", tt.major, o.corked, len(p))
			}
			if len(p) > 5000 {
				close(came)
			}
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		over := srv.streamTo(ctx, o, tt.major)
		<-came
		leave()
		if v := <-over; v != nil || o.corked || o.corks != tt.corks {
			t.Errorf("HTTP/%d: panic %v, corked %t, %d times", tt.major, v, o.corked, o.corks)
		}
	}
}

// A panic while a stream is written ends that stream, and is logged.
func TestStream_panic(t *testing.T) {
	srv := start(t, func(o *setup) { o.broker.Loops = -1 })
	for _, major := range []int{1, 2} {
		o := &output{ResponseRecorder: httptest.NewRecorder(), write: func([]byte) { panic("no more paper") }}
		err, _ := (<-srv.streamTo(t.Context(), o, major)).(error)
		if !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("HTTP/%d: it ends with %v", major, err)
		}
		if n := srv.broker.Stats().Streams; n != 0 {
			t.Errorf("HTTP/%d: %d streams are left", major, n)
		}
	}
	if lines := srv.log.lines(`"msg":"stream aborted"`, `"request_id":"portable"`, "no more paper", "stack"); len(lines) != 2 {
		t.Errorf("log: %s", srv.log.lines("portable"))
	}
}
