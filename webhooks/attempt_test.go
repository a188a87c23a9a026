package webhooks_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/webhooks"
)

// attempted returns the status of a webhook after its first attempt over a real network.
func attempted(t *testing.T, address string, change ...func(*webhooks.Options)) webhooks.Status {
	t.Helper()
	file := filepath.Join(t.TempDir(), "webhooks.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "webhooks: [{url: '%s', secret: %s}]", address, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	box := outbox.NewLocal()
	o := webhooks.Options{File: file, Outboxes: []outbox.Store{box}, Allow: webhooks.Loopback()}
	for _, f := range change {
		f(&o)
	}
	s, err := webhooks.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	box.Put(outbox.Event{Type: outbox.RunCompleted, Channel: "a", At: schemas.TimeOf(time.Now()), Run: new(schemas.RunChange)})
	for {
		if all, _ := s.Status(); all[0].LastAttempt != nil {
			return all[0]
		}
		<-time.After(time.Millisecond) // the attempt takes as long as the network does
	}
}

// nothingAllowed is what the operator has said by default.
func nothingAllowed(o *webhooks.Options) { o.Allow = nil }

// serving returns the URL of a server on loopback that counts its requests.
func serving(t *testing.T, answer http.HandlerFunc) (address string, requests *atomic.Int64) {
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

// No request goes to an address that is not public, whatever the URL calls it.
func TestAttempt_addresses(t *testing.T) {
	address, requests := serving(t, accept)
	_, port, _ := strings.Cut(strings.TrimPrefix(address, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "[64:ff9b::7f00:1]"} {
		if got := attempted(t, "http://"+host+":"+port, nothingAllowed); got.Delivered > 0 || got.LastError == "" {
			t.Errorf("%s: %+v", host, got)
		}
	}
	if requests.Load() > 0 {
		t.Errorf("%d requests", requests.Load())
	}
	if got := attempted(t, address); got.Delivered != 1 {
		t.Errorf("allowed: %+v", got)
	}
	if got := attempted(t, address, nothingAllowed); !strings.Contains(got.LastError, "--webhooks-allow") {
		t.Errorf("the operator is not told what to do: %+v", got)
	}
}

// A redirect is not followed, wherever it leads.
func TestAttempt_redirect(t *testing.T) {
	address, requests := serving(t, accept)
	for _, status := range []int{301, 302, 303, 307, 308} {
		from, _ := serving(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, status) })
		if got := attempted(t, from); got.Delivered > 0 || got.LastStatus != status || !strings.Contains(got.LastError, "redirects are not followed") {
			t.Errorf("%d: %+v", status, got)
		}
	}
	if requests.Load() > 0 {
		t.Errorf("%d requests", requests.Load())
	}
}

// An answer costs neither time nor memory: what counts is its status.
func TestAttempt_answers(t *testing.T) {
	endless, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	drip, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	for name, address := range map[string]string{"endless": endless, "drip": drip} {
		began := time.Now()
		got := attempted(t, address)
		if got.Delivered != 1 || got.LastStatus != 200 {
			t.Errorf("%s: %+v", name, got)
		}
		t.Log(name, time.Since(began))
	}
	header, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	if got := attempted(t, header); got.Delivered > 0 || got.LastError == "" {
		t.Errorf("an endless header: %+v", got)
	}
}

// What is not HTTP is not shown: it may be a service that nobody meant to ask.
func TestAttempt_notHTTP(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { // until the listener is closed
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-secretive\r\n")
			_ = conn.Close()
		}
	})
	got := attempted(t, "http://user:hunter2@"+listener.Addr().String()+"/x?token=hunter2")
	if got.LastError == "" || strings.Contains(got.LastError+got.URL, "secretive") || strings.Contains(got.LastError+got.URL, "hunter2") {
		t.Errorf("%+v", got)
	}
	_ = listener.Close()
	serving.Wait()
	if got := attempted(t, "http://user:hunter2@"+listener.Addr().String()+"/x?token=hunter2"); !strings.Contains(got.LastError, "refused") || strings.Contains(got.LastError, "hunter2") {
		t.Errorf("nobody listens: %+v", got)
	}
}

// A name that stands for a public address at first and for this machine later leads nowhere:
// what counts is the address that is connected to.
func TestAttempt_rebinding(t *testing.T) {
	address, requests := serving(t, accept)
	_, port, _ := strings.Cut(strings.TrimPrefix(address, "http://"), ":")
	server := newNameServer(t, "8.8.8.8", "127.0.0.1")
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.conn.LocalAddr().String())
	}}
	if first, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.test."); err != nil || first[0] != netip.MustParseAddr("8.8.8.8") {
		t.Fatalf("the first look-up: %v, %v", first, err)
	}
	got := attempted(t, "http://rebind.test.:"+port, nothingAllowed, func(o *webhooks.Options) { o.ResolveWith(resolver) })
	if got.Delivered > 0 || requests.Load() > 0 || !strings.Contains(got.LastError, "not public") {
		t.Errorf("%d requests, %+v", requests.Load(), got)
	}
	if got := attempted(t, "http://rebind.test.:"+port, func(o *webhooks.Options) { o.ResolveWith(resolver) }); got.Delivered != 1 {
		t.Errorf("allowed: %+v", got)
	}
}

// nameServer answers every question for an IPv4 address: at first with one address, later
// with another one.
type nameServer struct {
	conn    net.PacketConn
	answers []netip.Addr
}

func newNameServer(t *testing.T, answers ...string) *nameServer {
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn}
	for _, text := range answers {
		s.answers = append(s.answers, netip.MustParseAddr(text))
	}
	var serving sync.WaitGroup
	serving.Go(s.serve) // until conn is closed
	t.Cleanup(func() {
		_ = conn.Close()
		serving.Wait()
	})
	return s
}

func (s *nameServer) serve() {
	const header, typeA = 12, 1
	b := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		end := header
		for end < n && b[end] != 0 {
			end += int(b[end]) + 1
		}
		end += 5 // the zero byte, type and class
		if end > n {
			continue
		}
		answer := append([]byte{b[0], b[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, b[header:end]...)
		if binary.BigEndian.Uint16(b[end-4:]) == typeA {
			a := s.answers[0].As4()
			if len(s.answers) > 1 {
				s.answers = s.answers[1:]
			}
			answer[7] = 1
			answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
			answer = append(answer, a[:]...)
		}
		_, _ = s.conn.WriteTo(answer, from)
	}
}

// Proxies of the environment are not used: they would resolve names themselves.
func TestAttempt_proxy(t *testing.T) {
	if new(webhooks.Options).UsesProxy() {
		t.Error("there may be a proxy in between")
	}
}
