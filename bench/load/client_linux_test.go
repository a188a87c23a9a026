package load_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/bench/load"
)

// broadcaster is a small server: what is posted goes to all who read, and is kept for those
// who come back.
type broadcaster struct {
	t      *testing.T
	spoils func(reader, event int, frame string) string // what a reader is sent of a frame

	mu      sync.Mutex
	log     []string
	changed chan struct{} // closed at the next post
	readers int
}

func (b *broadcaster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			b.t.Error(err)
		}
		b.mu.Lock()
		b.log = append(b.log, fmt.Sprintf("id: %d\ndata: %s\n\n", len(b.log)+1, data))
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		return
	}
	b.mu.Lock()
	reader, at := b.readers, len(b.log)
	b.readers++
	b.mu.Unlock()
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		if _, err := fmt.Sscan(id, &at); err != nil {
			b.t.Error(err)
		}
	}
	b.stream(w, r, reader, at)
}

func (b *broadcaster) stream(w http.ResponseWriter, r *http.Request, reader, at int) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	for flush.Flush() == nil {
		b.mu.Lock()
		news, changed := b.log[at:], b.changed
		b.mu.Unlock()
		for _, frame := range news {
			if b.spoils != nil {
				frame = b.spoils(reader, at, frame)
			}
			if _, err := io.WriteString(w, frame); err != nil {
				return
			}
			at++
		}
		if len(news) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// newClient starts the server and returns a client of it.
func newClient(t *testing.T, b *broadcaster, c load.Config) *load.Client {
	t.Helper()
	b.t, b.changed = t, make(chan struct{})
	server := httptest.NewUnstartedServer(b)
	if c.Secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	c.Addr = netip.MustParseAddrPort(server.Listener.Addr().String())
	c.Clock, c.Channels = load.OldClock(time.Hour), 1
	client, err := load.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client
}

func subscribe(t *testing.T, client *load.Client, readers int) {
	t.Helper()
	err := client.Subscribe(readers, func(int) load.Stream { return load.Stream{Request: get("")} })
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(1, post); err != nil {
		t.Fatal(err)
	}
}

func get(id string) []byte {
	return fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: test\r\nLast-Event-ID: %s\r\n\r\n", id)
}

func post(_ int, payload []byte) []byte {
	return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", len(payload), payload)
}

// TestClient_closedLoop is a small run as a whole.
func TestClient_closedLoop(t *testing.T) {
	for _, config := range []load.Config{{}, {Spin: true}, {Secure: true}} {
		config.Publishers = 4
		client := newClient(t, &broadcaster{}, config)
		subscribe(t, client, 20)
		must(t, client.Start())
		must(t, client.Run(100*time.Millisecond))
		client.Reset()
		must(t, client.Run(200*time.Millisecond))
		window := client.Counts()
		must(t, client.Stop())
		whole, err := client.Drain(2 * time.Minute)
		must(t, err)
		all, total := client.Counts(), client.Total()
		if !whole || !total.Good() || window.Delivered == 0 || window.Answered == 0 {
			t.Errorf("whole %t, total %+v, window %+v", whole, total, window)
		}
		if total.Delivered <= all.Delivered || total.Delivered%20 != 0 || all.Answered < window.Answered {
			t.Errorf("total %+v, window and after %+v", total, all)
		}
		if l := client.Latency(); l.Count() != all.Delivered || l.Quantile(0.5) <= 0 || l.Quantile(0.99) > int64(time.Second) {
			t.Errorf("%d latencies, median %d", l.Count(), l.Quantile(0.5))
		}
	}
}

// TestClient_openLoop shows that messages are sent when they are due.
func TestClient_openLoop(t *testing.T) {
	client := newClient(t, &broadcaster{}, load.Config{Publishers: 3})
	subscribe(t, client, 5)
	must(t, client.StartOpen(200))
	must(t, client.Run(300*time.Millisecond))
	must(t, client.Stop())
	whole, err := client.Drain(2 * time.Minute)
	must(t, err)
	counts := client.Counts()
	if !whole || counts.Published < 55 || counts.Published > 61 || counts.Delivered != 5*counts.Published {
		t.Errorf("whole %t, %+v", whole, counts)
	}
	// Were all due at the start, half would be 150 ms late.
	if median := time.Duration(client.Latency().Quantile(0.5)); median > 100*time.Millisecond {
		t.Errorf("median latency %v", median)
	}
}

// TestClient_Drain_spoiled shows that each kind of loss is found.
func TestClient_Drain_spoiled(t *testing.T) {
	at := func(event int, to func(frame string) string) func(int, int, string) string {
		return func(reader, i int, frame string) string {
			if reader == 3 && i == event {
				return to(frame)
			}
			return frame
		}
	}
	none := func(string) string { return "" }
	for _, tt := range []struct {
		name   string
		spoils func(int, int, string) string
		want   load.Check
	}{
		{"nothing", nil, load.Check{Delivered: 50}},
		{"lost", at(4, none), load.Check{Delivered: 49, Lost: 1}},
		{"last one lost", at(9, none), load.Check{Delivered: 49, Missing: 1}},
		{"doubled", at(4, func(f string) string { return f + f }), load.Check{Delivered: 50, Doubled: 1}},
		{"damaged", at(4, func(f string) string { return strings.Replace(f, "~0000~", "~000x~", 1) }), load.Check{Delivered: 49, Lost: 1, Stray: 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := newClient(t, &broadcaster{spoils: tt.spoils}, load.Config{Publishers: 1})
			subscribe(t, client, 5)
			for range 10 {
				must(t, client.One(0))
			}
			whole, err := client.Drain(300 * time.Millisecond)
			must(t, err)
			if client.Total() != tt.want || whole != (tt.want.Missing == 0) {
				t.Errorf("whole %t, got %+v, want %+v", whole, client.Total(), tt.want)
			}
		})
	}
}

// TestClient_Return shows that readers that come back are due exactly what they missed, and
// over TLS resume their sessions.
func TestClient_Return(t *testing.T) {
	for _, secure := range []bool{false, true} {
		client := newClient(t, &broadcaster{}, load.Config{Publishers: 1, RememberIDs: true, Secure: secure, RememberSessions: true})
		subscribe(t, client, 20)
		for i := range 20 {
			must(t, client.One(0))
			if i == 9 {
				whole, err := client.Drain(2 * time.Minute)
				must(t, err)
				must(t, client.Run(20*time.Millisecond))
				if !whole {
					t.Fatal("not all came")
				}
				client.Hangup()
			}
		}
		must(t, client.Return(func(_ int, id []byte) []byte {
			if string(id) != "10" {
				t.Errorf("last id %q", id)
			}
			return get(string(id))
		}))
		whole, err := client.Drain(2 * time.Minute)
		must(t, err)
		if want := (load.Check{Delivered: 400}); !whole || client.Total() != want {
			t.Errorf("whole %t, %+v", whole, client.Total())
		}
		if resumed := client.Counts().Resumed; secure && resumed != 20 || !secure && resumed != 0 {
			t.Errorf("%d sessions were resumed", resumed)
		}
	}
}

func TestClient_refused(t *testing.T) {
	client := newClient(t, &broadcaster{}, load.Config{Publishers: 1})
	err := client.Subscribe(1, func(int) load.Stream { return load.Stream{Request: []byte("nonsense\r\n\r\n")} })
	if err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("a stream: %v", err)
	}
	must(t, client.Publish(1, func(_ int, payload []byte) []byte {
		return append([]byte("nonsense\r\n\r\n"), payload...)
	}))
	if err := client.One(0); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("a publish: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
