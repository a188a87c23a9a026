package e2e_test

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// server is the program while it serves.
type server struct {
	*process
	url      string      // without a slash at its end
	key      string      // API key
	greeting string      // what it printed when it was ready
	tls      *tls.Config // for clients, nil if it speaks plain HTTP
}

// client returns an HTTP/1.1 client of one test.
func (s *server) client(t testing.TB) *http.Client {
	return clientFor(t, s.tls, func(p *http.Protocols) { p.SetHTTP1(true) })
}

// testKey is the API key of servers that do not make one.
const testKey = "sk_test_0123456789abcdef"

// start runs a development server on a free port of this machine and waits until
// it listens.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	return serve(t, nil, "sluice", append([]string{"--dev"}, args...)...)
}

// serve runs a server as name and args say, on a free port unless they say
// where. Without --dev its key has to be testKey.
func serve(t testing.TB, environ []string, name string, args ...string) *server {
	t.Helper()
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--listen=") }) {
		args = append(args, "--listen=127.0.0.1:0")
	}
	s := &server{process: launch(t, nil, environ, name, args...), key: testKey}
	pattern := `(?s)listens on (\S+)\n`
	if slices.Contains(args, "--dev") {
		pattern = `(?s) listens on (\S+)\n.*  export SLUICE_URL=\S+ SLUICE_API_KEY=(\S+)\n.*and every message\.\n`
	}
	found, err := s.stdout.wait(within(t, patience), 0, pattern)
	if err != nil {
		t.Fatal(err)
	}
	s.url, s.greeting = found[1], s.stdout.String()
	if len(found) > 2 {
		s.key = found[2]
	}
	return s
}

// address returns host and port.
func (s *server) address() string {
	_, address, _ := strings.Cut(s.url, "://")
	return address
}

// logged waits for a line of the log, after the first from bytes of it, that
// matches the pattern.
func (s *server) logged(t testing.TB, from int, pattern string) {
	t.Helper()
	if _, err := s.stderr.wait(within(t, patience), from, pattern); err != nil {
		t.Fatal(err)
	}
}
