package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// secure starts a server with a certificate.
func secure(t testing.TB, args ...string) (*server, certificate, *x509.CertPool) {
	t.Helper()
	files := certificate{t.TempDir()}
	roots := files.issue(t, 1)
	s := start(t, append(args, "--tls-cert="+files.cert(), "--tls-key="+files.key())...)
	s.tls = &tls.Config{RootCAs: roots}
	return s, files, roots
}

// say publishes a message of a channel with c.
func (s *server) say(t testing.TB, c *http.Client, channel string) (id string) {
	t.Helper()
	var p published
	if status := call(t, c, s.key, http.MethodPost, s.url+"/v1/publish/"+channel+"/t", `"`+strings.Repeat("x", 1000)+`"`, &p); status != http.StatusCreated {
		t.Fatalf("publish: %d", status)
	}
	return p.ID
}

// TestTLS_clients has clients of many makes read a stream from its first event to its end,
// with every cipher suite of TLS 1.3 and with TLS 1.2.
func TestTLS_clients(t *testing.T) {
	t.Parallel()
	s, files, _ := secure(t)
	publisher := s.client(t)
	curl := func(more ...string) []string {
		return append([]string{"curl", "-sSN", "--http1.1", "--cacert", files.cert(), "-H", "Authorization: Bearer " + s.key}, more...)
	}
	for _, tt := range []struct {
		name    string
		command []string
	}{
		{"curl", curl()},
		{"curl AES 128", curl("--tls13-ciphers", "TLS_AES_128_GCM_SHA256")},
		{"curl AES 256", curl("--tls13-ciphers", "TLS_AES_256_GCM_SHA384")},
		{"curl ChaCha20", curl("--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256")},
		{"curl key exchange in two steps", curl("--curves", "P-384:X25519")},
		{"curl TLS 1.2", curl("--tls-max", "1.2")},
		{"curl two requests", curl(s.url+"/healthz", "-H", "X-Request-Id: two-requests")},
		{"node", []string{"node", "-e", `
			const [url, key, ca] = process.argv.slice(1);
			require("https").get(url, { ca: require("fs").readFileSync(ca), headers: { authorization: "Bearer " + key } },
				(answer) => answer.pipe(process.stdout));`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(tt.command[0]); err != nil {
				t.Skip(err)
			}
			channel := strings.ReplaceAll(tt.name, " ", "-")
			url := s.url + "/v1/subscribe?channel=" + channel
			command := append(slices.Clone(tt.command), url)
			if tt.name == "node" {
				command = append(command, s.key, files.cert())
			}
			p := launch(t, nil, nil, command[0], command[1:]...)
			if _, err := p.stdout.wait(within(t, patience), 0, `event: \$live`); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				id := s.say(t, publisher, channel)
				if _, err := p.stdout.wait(within(t, patience), 0, `id: `+id+`\nevent: t\ndata: .*\n\n`); err != nil {
					t.Fatal(err)
				}
			}
			if status := call(t, publisher, s.key, http.MethodDelete, s.url+"/v1/channels/"+channel, "", nil); status != http.StatusNoContent {
				t.Fatalf("delete: %d", status)
			}
			if _, err := p.stdout.wait(within(t, patience), 0, `event: \$close\ndata: .*4410`); err != nil {
				t.Fatal(err)
			}
			if tt.name == "node" {
				p.kill() // it may keep its connection for more requests
				return
			}
			if code := p.exitCode(t); code != 0 {
				t.Errorf("it exits with %d", code)
			}
		})
	}
}

// TestTLS_input has a client that updates its keys in the middle of a stream, or sends
// another request. Its own stream ends, and it is told to come back. The others go on.
func TestTLS_input(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	s, _, _ := secure(t)
	publisher := s.client(t)
	other, _ := subscribe(t, s.client(t), s.url+"/v1/subscribe?channel=a", s.key, "")
	for _, tt := range []struct {
		name, sent string
		version    string
		stays      bool
	}{
		{"key update of both", "K\n", "-tls1_3", false},
		{"key update of the client", "k\n", "-tls1_3", false},
		{"another request", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "-tls1_3", false},
		{"garbage", strings.Repeat("\x00\xff", 10_000), "-tls1_3", false},
		{"another request over TLS 1.2", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "-tls1_2", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, out := io.Pipe()
			defer out.Close()
			p := launch(t, in, nil, path, "s_client", "-connect", s.address(), tt.version)
			if _, err := p.stdout.wait(within(t, patience), 0, `Verify return code`); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(out, "GET /v1/subscribe?channel=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", s.key)
			if _, err := p.stdout.wait(within(t, patience), 0, `event: \$live`); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(out, tt.sent); err != nil {
				t.Fatal(err)
			}
			if !tt.stays {
				if _, err := p.stdout.wait(within(t, patience), 0, `event: \$close\s+data: \{"code":4004,"reason":"max_age","reconnect":true`); err != nil {
					t.Fatal(err)
				}
			}
			id := s.say(t, publisher, "a")
			if e := other.expect(t, "t"); e.ID != id {
				t.Errorf("the other stream got %s, want %s", e.ID, id)
			}
			if tt.stays {
				if _, err := p.stdout.wait(within(t, patience), 0, `id: `+id); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestTLS_keyUpdateBefore has a client that updates its keys before it asks for a stream:
// that stays with crypto/tls, which has new keys as well.
func TestTLS_keyUpdateBefore(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	s, _, _ := secure(t)
	publisher := s.client(t)
	in, out := io.Pipe()
	defer out.Close()
	p := launch(t, in, nil, path, "s_client", "-connect", s.address(), "-tls1_3")
	ask := func(path, pattern string) {
		t.Helper()
		fmt.Fprintf(out, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", path, s.key)
		if _, err := p.stdout.wait(within(t, patience), 0, pattern); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.stdout.wait(within(t, patience), 0, `Verify return code`); err != nil {
		t.Fatal(err)
	}
	ask("/healthz", `HTTP/1.1 200 OK`)
	if _, err := io.WriteString(out, "K\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.stderr.wait(within(t, patience), 0, `KEYUPDATE`); err != nil {
		t.Fatal(err)
	}
	ask("/v1/subscribe?channel=a", `event: \$live`)
	id := s.say(t, publisher, "a")
	if _, err := p.stdout.wait(within(t, patience), 0, `id: `+id); err != nil {
		t.Fatal(err)
	}
}

// TestTLS_resumed has a client that resumes its session and its stream, again and again.
func TestTLS_resumed(t *testing.T) {
	t.Parallel()
	s, _, roots := secure(t)
	publisher := s.client(t)
	config := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	last := ""
	for i := range 5 {
		c := clientFor(t, config, func(p *http.Protocols) { p.SetHTTP1(true) })
		if status := call(t, c, s.key, http.MethodGet, s.url+"/healthz", "", nil); status != http.StatusOK {
			t.Fatal(status)
		}
		in, _ := subscribe(t, c, s.url+"/v1/subscribe?channel=a", s.key, last)
		if in.TLS.DidResume != (i > 0) {
			t.Errorf("connection %d: session resumed: %t", i, in.TLS.DidResume)
		}
		if i > 0 {
			if e := in.expect(t, "t"); e.ID <= last {
				t.Errorf("got %s after %s", e.ID, last)
			}
		}
		id := s.say(t, publisher, "a")
		if e := in.expect(t, "t"); e.ID != id {
			t.Errorf("got %s, want %s", e.ID, id)
		}
		last = id
		in.close()
		s.say(t, publisher, "a") // is missed, and comes next
	}
}

// TestTLS_http1 shows that HTTP/2 can be turned off.
func TestTLS_http1(t *testing.T) {
	t.Parallel()
	s, _, roots := secure(t, "--http2=false")
	both := clientFor(t, &tls.Config{RootCAs: roots}, func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) })
	expectStreams(t, s, both, 1)
}

// TestTLS_cut has a client whose network passes on a byte at a time.
func TestTLS_cut(t *testing.T) {
	t.Parallel()
	s, _, roots := secure(t)
	publisher := s.client(t)
	through := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, dribble(t, s.address()))
		},
	}
	defer through.CloseIdleConnections()
	in, _ := subscribe(t, &http.Client{Transport: through}, s.url+"/v1/subscribe?channel=a", s.key, "")
	for range 20 {
		id := s.say(t, publisher, "a")
		if e := in.expect(t, "t"); e.ID != id {
			t.Errorf("got %s, want %s", e.ID, id)
		}
	}
}

// dribble returns the address of a proxy that passes one connection on, a byte at a time.
// It ends with the test.
func dribble(t testing.TB, address string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		passing.Wait()
	})
	passing.Go(func() { // ends with the connections, or the listener
		reader, err := listener.Accept()
		if err != nil {
			return
		}
		defer reader.Close()
		server, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return
		}
		stop := context.AfterFunc(t.Context(), func() { server.Close(); reader.Close() })
		defer stop()
		passing.Go(func() {
			_, _ = io.CopyBuffer(struct{ io.Writer }{server}, struct{ io.Reader }{reader}, make([]byte, 1))
			server.Close()
		})
		_, _ = io.CopyBuffer(struct{ io.Writer }{reader}, struct{ io.Reader }{server}, make([]byte, 1))
	})
	return listener.Addr().String()
}
