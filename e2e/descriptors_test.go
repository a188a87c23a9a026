package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// limited starts a server that may have so many descriptors.
func limited(t testing.TB, descriptors int, flags ...string) *server {
	t.Helper()
	return serve(t, nil, "sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec sluice "$@"`, descriptors), "sluice", "--dev"}, flags...)...)
}

// TestDescriptors_connects has more clients than descriptors, that ask for nothing
// or announce bodies and never send them. Whoever asks for something is served.
func TestDescriptors_connects(t *testing.T) {
	for name, flags := range map[string][]string{
		"writer loops": nil,
		"portable":     {"--portable"},
		"max streams":  {"--max-streams=150"},
		"disk":         {"--data=" + t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limited(t, 256, flags...)
			in, _ := s.subscribe(t, "channel=a", "")
			for _, sends := range []string{"", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"} {
				for range 500 {
					conn := dial(t, s.address())
					fmt.Fprint(conn, sends)
				}
				s.serves(t, in)
			}
			if shed := s.metric(t, "sluice_shed_connections_total"); shed == 0 {
				t.Error("no connection was closed")
			}
			s.logged(t, 0, `descriptors are running out`)
			if n := strings.Count(s.stderr.String(), "descriptors are"); n > 10 {
				t.Errorf("the log says %d times that descriptors are running out", n)
			}
		})
	}
}

// serves wants answers from a server that is short of descriptors, and before any of its
// clients has been waited for long enough, which would give it descriptors.
func (s *server) serves(t *testing.T, in *stream) {
	t.Helper()
	for i := range 5 {
		conn, err := net.DialTimeout("tcp", s.address(), 8*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(8 * time.Second))
		fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("health, attempt %d: %v", i, err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("health: %s", answer.Status)
		}
		conn.Close()
	}
	id := s.publish(t, "a", "t", "1")
	if e := in.expect(t, "t"); e.ID != id {
		t.Errorf("the reader got %s, want %s", e.ID, id)
	}
}

// TestDescriptors_streams asks for more streams than there are descriptors: those
// who get none are told to come back, and their connections end.
func TestDescriptors_streams(t *testing.T) {
	for name, flags := range paths() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limited(t, 128, flags...)
			in, _ := s.subscribe(t, "channel=a", "")
			refused := 0
			for range 200 {
				if !s.streamOrRefusal(t) {
					refused++
				}
			}
			if refused < 200-128 || refused > 200-80 {
				t.Errorf("%d of 200 were turned away", refused)
			}
			s.serves(t, in)
			if n := s.metric(t, `sluice_streams_refused_total\{reason="too_many_streams"\}`); n != float64(refused) {
				t.Errorf("%v are counted, want %d", n, refused)
			}
			if log := s.stderr.String(); strings.Contains(log, "client_left") {
				t.Error("clients that were turned away are said to have left")
			}
		})
	}
}

// streamOrRefusal opens a stream that ends with the test, or is turned away.
func (s *server) streamOrRefusal(t *testing.T) bool {
	t.Helper()
	conn := dial(t, s.address())
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /v1/subscribe?channel=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", s.key)
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); answer.Body.Close() })
	body := bufio.NewReader(answer.Body)
	for {
		line, err := body.ReadString('\n')
		switch {
		case err != nil:
			t.Fatal(err)
		case strings.HasPrefix(line, "event: $open"):
			return true
		case strings.HasPrefix(line, "event: $close"):
			rest, err := io.ReadAll(body)
			if err != nil || !strings.Contains(string(rest), `"code":4029`) || !answer.Close {
				t.Errorf("turned away with %q, %v; the connection ends: %t", rest, err, answer.Close)
			}
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("the connection does not end: %v", err)
			}
			return false
		}
	}
}
