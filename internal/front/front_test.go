package front_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/door"
	"github.com/sluicehq/sluice/internal/front"
)

// patience limits how long a test waits for one thing.
const patience = time.Minute

// handler answers with the body, or as the path says.
type handler struct {
	asked chan struct{} // gets a value with each request; may be nil
	until chan struct{} // answers wait until it is closed; may be nil
	taken chan net.Conn // gets the connections of requests for /taken
}

func (h *handler) Answer(ctx context.Context, r *front.Request, out []byte) ([]byte, front.Outcome) {
	switch string(r.Path) {
	case "/refused":
		return nil, front.Declined
	case "/last":
		return append(out, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast"...), front.Ended
	case "/taken":
		h.taken <- r.Conn
		return nil, front.Taken
	}
	if h.asked != nil {
		h.asked <- struct{}{}
	}
	if h.until != nil {
		select {
		case <-h.until:
		case <-ctx.Done():
			return nil, front.Declined
		}
	}
	return fmt.Appendf(out, "HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s", len(r.Body), r.Body), front.Answered
}

// server is a front before a server that answers with 418 and the body.
type server struct {
	*front.Front

	http    *http.Server
	address string
}

func start(t *testing.T, change func(*front.Options)) *server {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, change)
}

func startOn(t *testing.T, l net.Listener, change func(*front.Options)) *server {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	o := front.Options{Door: door.New(log), Handler: new(handler), Log: log, FirstRequest: patience, Idle: patience}
	change(&o)
	s := &server{Front: front.New(o)}
	s.http = &http.Server{
		ReadHeaderTimeout: patience, ConnState: o.Door.State, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusTeapot)
			_, _ = fmt.Fprintf(w, "%s %s", r.URL, body)
		}),
	}
	s.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.Listener(l)) }() // ends with http.Close
	t.Cleanup(func() {
		_ = s.http.Close()
		s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s
}

// client is a connection to a server.
type client struct {
	net.Conn

	t  *testing.T
	in *bufio.Reader
}

func (s *server) connect(t *testing.T) *client {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{conn, t, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// gets checks the next answer.
func (c *client) gets(status int, body string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || string(got) != body {
		c.t.Fatalf("got %d %q, %v, want %d %q", resp.StatusCode, got, err, status, body)
	}
}

// ends checks that the server closes the connection.
func (c *client) ends() {
	c.t.Helper()
	if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("got %v, want the end", err)
	}
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

const get = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

func unchanged(*front.Options) {}

func TestFront_answers(t *testing.T) {
	c := start(t, unchanged).connect(t)
	for i := range 3 {
		body := fmt.Sprint("n", i)
		c.send(post("/a", body))
		c.gets(201, body)
	}
	c.send(post("/a", "1") + post("/a", "2") + post("/a", "3")) // at once
	for _, body := range []string{"1", "2", "3"} {
		c.gets(201, body)
	}
	half := len(post("/a", "hello")) - 3
	c.send(post("/a", "hello")[:half])
	c.send(post("/a", "hello")[half:])
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(body), "hello") { // the second half may be late
		t.Errorf("got %q, %v", body, err)
	}
}

// What the front does not answer reaches net/http with every byte, and so does all that
// follows.
func TestFront_handsOver(t *testing.T) {
	long := strings.Repeat("a", 20<<10)
	for _, tt := range []struct{ name, input, answer string }{
		{"another method", strings.Replace(get, "GET", "PUT", 1), "/x "},
		{"a GET that something follows", get, "/x "},
		{"a refusal", post("/refused", "b"), "/refused b"},
		{"a long body", post("/long", long), "/long " + long},
		{"a long head", strings.Replace(post("/head", "b"), "Host", "User-Agent: "+long+"\r\nHost", 1), "/head b"},
		{"a query", post("/a?b", "b"), "/a?b b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, unchanged).connect(t)
			c.send(post("/a", "first") + tt.input + post("/a", "last"))
			c.gets(201, "first")
			c.gets(418, tt.answer)
			c.gets(418, "/a last")
		})
	}
}

// A GET is answered if nothing follows it.
func TestFront_get(t *testing.T) {
	c := start(t, unchanged).connect(t)
	for range 2 {
		c.send(get)
		c.gets(201, "")
		c.send(post("/a", "b"))
		c.gets(201, "b")
	}
	c.send("GET /refused?a=b HTTP/1.1\r\nHost: h\r\n\r\n")
	c.gets(418, "/refused?a=b ")
	c.send(get)
	c.gets(418, "/x ")
}

// After an answer that is the last one, the connection ends.
func TestFront_ended(t *testing.T) {
	s := start(t, unchanged)
	c := s.connect(t)
	c.send("GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
	c.gets(200, "last")
	c.ends()
	s.handedOver(t)
}

// A connection that the handler has taken is nobody else's: it outlives the front.
func TestFront_taken(t *testing.T) {
	h := &handler{taken: make(chan net.Conn, 1)}
	s := start(t, func(o *front.Options) { o.Handler = h })
	c := s.connect(t)
	c.send("GET /taken HTTP/1.1\r\nHost: h\r\n\r\n")
	taken := <-h.taken
	defer taken.Close()
	s.handedOver(t)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
	if _, err := io.WriteString(taken, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
		t.Fatal(err)
	}
	c.gets(200, "ok")
	taken.Close()
	c.ends()
}

// A request whose rest does not come soon is net/http's, which waits for it.
func TestFront_handsOver_late(t *testing.T) {
	for _, whole := range []string{post("/x", "body"), get} {
		body := strings.TrimPrefix(whole[strings.Index(whole, "\r\n\r\n"):], "\r\n\r\n")
		for cut := range whole {
			t.Run(fmt.Sprint(whole[:4], cut), func(t *testing.T) {
				t.Parallel()
				s := start(t, func(o *front.Options) { o.FirstRequest = patience })
				c := s.connect(t)
				c.send(post("/a", "first"))
				c.gets(201, "first")
				c.send(whole[:cut])
				if cut > 0 {
					s.handedOver(t)
				}
				c.send(whole[cut:])
				if cut > 0 {
					c.gets(418, "/x "+body)
				} else {
					c.gets(201, body)
				}
			})
		}
	}
}

// handedOver waits until the front has no connection.
func (s *server) handedOver(t *testing.T) {
	t.Helper()
	for s.Connections() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// Connections that send nothing are closed, new ones and those that had requests.
func TestFront_silence(t *testing.T) {
	s := start(t, func(o *front.Options) { o.FirstRequest = 50 * time.Millisecond })
	s.connect(t).ends()
	s = start(t, func(o *front.Options) { o.Idle = 50 * time.Millisecond })
	c := s.connect(t)
	c.send(post("/a", "b"))
	c.gets(201, "b")
	c.ends()
}

// At a shutdown, connections without a request are closed, requests are answered, and what
// has half arrived is net/http's.
func TestFront_Shutdown(t *testing.T) {
	h := &handler{asked: make(chan struct{}, 1), until: make(chan struct{})}
	s := start(t, func(o *front.Options) { o.Handler = h })
	idle, busy := s.connect(t), s.connect(t)
	busy.send(post("/a", "b") + post("/a", "c") + post("/a", "d")[:20])
	<-h.asked
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	idle.ends()
	close(h.until)
	busy.gets(201, "b")
	<-h.asked
	busy.gets(201, "c")
	if err := <-down; err != nil {
		t.Error(err)
	}
	busy.send(post("/a", "d")[20:])
	busy.gets(418, "/a d")
	late := s.connect(t)
	late.send(post("/a", "e"))
	late.gets(418, "/a e")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h = &handler{asked: make(chan struct{}, 1), until: make(chan struct{})}
	s = start(t, func(o *front.Options) { o.Handler = h })
	busy = s.connect(t)
	busy.send(post("/a", "b"))
	<-h.asked
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	s.Close() // ends the request
}

// Old clients send blank lines after a body. net/http ignores four bytes of them, the front
// too, whenever they come.
func TestFront_blankLines(t *testing.T) {
	for _, tt := range []struct {
		pieces []string
		answer int
	}{
		{[]string{"\r\n" + post("/a", "c")}, 201},
		{[]string{"\r", "\n" + post("/a", "c")}, 201},
		{[]string{"\r\n", "\r\n", post("/a", "c")}, 201},
		{[]string{"\r\n\r\n" + post("/refused", "c")}, 418},
		{[]string{"\r\n\r\n\n" + post("/a", "c")}, 400},
	} {
		c := start(t, unchanged).connect(t)
		c.send(post("/a", "b"))
		c.gets(201, "b")
		for _, p := range tt.pieces {
			c.send(p)
		}
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.answer {
			t.Errorf("%q: got %d, want %d", tt.pieces, resp.StatusCode, tt.answer)
		}
	}
}

// A panic ends its connection and no other.
func TestFront_panic(t *testing.T) {
	var log strings.Builder
	s := start(t, func(o *front.Options) {
		o.Log, o.Handler = slog.New(slog.NewTextHandler(&log, nil)), panicking{}
	})
	other := s.connect(t)
	c := s.connect(t)
	c.send(post("/panic", "b"))
	c.ends()
	other.send(post("/a", "b"))
	other.gets(201, "b")
	s.Close()
	if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "front_test.go") {
		t.Errorf("the log has %q", got)
	}
}

type panicking struct{ handler }

// Answer implements [front.Handler].
func (h panicking) Answer(ctx context.Context, r *front.Request, out []byte) ([]byte, front.Outcome) {
	if string(r.Path) == "/panic" {
		panic("as asked")
	}
	return h.handler.Answer(ctx, r, out)
}

// pipes is a listener whose connections obey the clock of a bubble.
type pipes struct {
	net.Listener

	conns chan net.Conn
	errs  chan error
}

func newPipes(t *testing.T) *pipes {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // for the address alone
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return &pipes{l, make(chan net.Conn), make(chan error)}
}

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case err, ok := <-p.errs:
		if !ok {
			err = net.ErrClosed
		}
		return nil, err
	}
}

// Close implements [net.Listener].
func (p *pipes) Close() error {
	close(p.errs)
	return nil
}

func (p *pipes) connect(t *testing.T) *client {
	t.Helper()
	mine, its := net.Pipe()
	p.conns <- its
	t.Cleanup(func() { mine.Close() })
	return &client{mine, t, bufio.NewReader(mine)}
}

// An answer reaches its client however long the connection was silent before, and however
// long it takes.
func TestFront_slowAnswers(t *testing.T) {
	const first, idle = 10 * time.Second, 2 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		l, h := newPipes(t), &handler{asked: make(chan struct{})}
		startOn(t, l, func(o *front.Options) { o.Handler, o.FirstRequest, o.Idle = h, first, idle })
		c := l.connect(t)
		for _, silence := range []time.Duration{first - 1, idle - 1, idle - 1, 1, idle - 1} {
			time.Sleep(silence)
			c.send(post("/a", "b"))
			time.Sleep(first)
			<-h.asked
			c.gets(201, "b")
		}
		began := time.Now()
		c.ends()
		if silence := time.Since(began); silence < idle || silence > idle+idle/8 {
			t.Errorf("closed after %v", silence)
		}
	})
}

// What a client does not accept ends with time.
func TestFront_unread(t *testing.T) {
	const idle = 2 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		l := newPipes(t)
		s := startOn(t, l, func(o *front.Options) { o.FirstRequest, o.Idle = time.Second, idle })
		c := l.connect(t)
		c.send(post("/a", "b"))
		time.Sleep(idle + idle/8)
		synctest.Wait()
		if n := s.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// After an error that passes, such as one of a network that a client came from, connections
// are accepted as before.
func TestFront_Listener_errors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes(t)
		startOn(t, l, unchanged)
		for range 3 {
			l.errs <- &net.OpError{Op: "accept", Err: syscall.ECONNRESET}
		}
		c := l.connect(t)
		c.send(post("/a", "b"))
		c.gets(201, "b")
		c.send(strings.Replace(get, "GET", "PUT", 1))
		c.gets(418, "/x ")
	})
}

// The listener ends as a listener must.
func TestFront_Listener_Close(t *testing.T) {
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := front.New(front.Options{Door: door.New(slog.New(slog.DiscardHandler)), Handler: new(handler), FirstRequest: patience, Idle: patience})
	defer f.Close()
	l := f.Listener(inner)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}
