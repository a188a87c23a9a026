package webhooks_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/webhooks"
)

// secret is that of all receivers.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is an HTTP server that is reached over pipes, so that it and the sender can run in
// one synctest bubble.
type receiver struct {
	t      *testing.T
	server http.Server
	conns  chan net.Conn
	closed chan struct{}

	mu     sync.Mutex
	got    []delivery // guarded by mu; all attempts, in order
	answer http.HandlerFunc
}

// delivery is a request that came in.
type delivery struct {
	at      time.Duration // since the start
	host    string
	id      string
	kind    string
	channel string
	body    string
}

// accept answers every event with success.
func accept(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// newReceiver returns a receiver that answers with answer, until the test ends.
func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	r := &receiver{t: t, conns: make(chan net.Conn), closed: make(chan struct{}), answer: answer}
	began := time.Now()
	r.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		d := r.read(q)
		d.at = time.Since(began)
		r.mu.Lock()
		r.got = append(r.got, d)
		answer := r.answer
		r.mu.Unlock()
		answer(w, q)
	})
	var serving sync.WaitGroup
	serving.Go(func() { _ = r.server.Serve(r) }) // until the server is closed
	t.Cleanup(func() {
		_ = r.server.Close()
		serving.Wait()
	})
	return r
}

// read reads a request and checks what all have in common.
func (r *receiver) read(q *http.Request) delivery {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.t.Error(err)
	}
	var event struct {
		Type      string
		Timestamp time.Time
		Data      struct{ Channel string }
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Timestamp.IsZero() {
		r.t.Errorf("body %s: %v", body, err)
	}
	id, stamp := q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 2*time.Second {
		r.t.Errorf("timestamp %q: %v", stamp, err)
	}
	key, _ := webhooks.ParseSecret(secret)
	want := webhooks.Sign([]webhooks.Secret{key}, id, time.Unix(seconds, 0), body)
	if !slices.Contains(strings.Fields(q.Header.Get("webhook-signature")), want) {
		r.t.Errorf("signature %q, want %q", q.Header.Get("webhook-signature"), want)
	}
	if q.Header.Get("Content-Type") != "application/json" || q.Method != http.MethodPost {
		r.t.Errorf("%s with %v", q.Method, q.Header)
	}
	return delivery{host: q.Host, id: id, kind: event.Type, channel: event.Data.Channel, body: string(body)}
}

// change has requests answered in another way from now on.
func (r *receiver) change(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// take returns what came in since the last call.
func (r *receiver) take() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// Accept implements [net.Listener].
func (r *receiver) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (r *receiver) Close() error {
	close(r.closed)
	return nil
}

// Addr implements [net.Listener].
func (r *receiver) Addr() net.Addr { return &net.TCPAddr{} }

func (r *receiver) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case r.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

// sent is a sender with an outbox in memory.
type sent struct {
	*webhooks.Sender
	t    *testing.T
	box  *outbox.Local
	file string
	log  *journal
}

// write replaces the file.
func (s *sent) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	// The clock of the bubble is not that of the file system: make every version another one.
	at := time.Now()
	if err := os.Chtimes(s.file, at, at); err != nil {
		s.t.Fatal(err)
	}
}

// hook is a document with one webhook at http://a.test/ and further members.
func hook(more string) string {
	return "webhooks: [{url: http://a.test/, secret: " + secret + more + "}]"
}

// end adds the end of a run.
func (s *sent) end(channel string) { s.endAs(channel, schemas.RunCompleted) }

func (s *sent) endAs(channel string, status schemas.RunStatus) {
	event, _ := outbox.OfRun(&schemas.Message{
		ID: schemas.ID{Epoch: 20, Seq: 7}, Channel: schemas.Channel(channel), CreatedAt: schemas.TimeOf(time.Now()),
	}, &schemas.RunChange{Status: status, RunID: "r1", Result: []byte(`{"a<b":1}`)})
	s.box.Put(event)
}

// inBubble runs a test with a sender and its receiver in a synctest bubble.
func inBubble(t *testing.T, document string, answer http.HandlerFunc, test func(t *testing.T, s *sent, r *receiver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, answer)
		test(t, newSender(t, document, r), r)
	})
}
