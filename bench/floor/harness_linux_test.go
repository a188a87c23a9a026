package floor_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const patience = 2 * time.Minute

func modes() []string { return []string{"write", "coalesce", "1ms"} }

// start runs the floor until the test ends and returns its address.
func start(t *testing.T, mode string) string {
	t.Helper()
	addr := freeAddress(t)
	cmd := exec.Command(os.Args[0], "serve", mode, addr)
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// freeAddress returns a loopback address that nobody listens on now. Its port is below those
// that systems give to outgoing connections, so none of these takes it first.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))
		if listener, err := net.Listen("tcp", addr); err == nil {
			_ = listener.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// subscribe opens a stream and reads its first event, whose id it returns.
func subscribe(t *testing.T, addr, header string) (*net.TCPConn, *bufio.Reader, int) {
	t.Helper()
	conn := dial(t, addr)
	write(t, conn, "GET /sub/room HTTP/1.1\r\nHost: h\r\n"+header+"\r\n")
	in := bufio.NewReader(conn)
	if got := line(t, in); got != "HTTP/1.1 200 OK" {
		t.Fatalf("answered %q", got)
	}
	for line(t, in) != "" {
	}
	id, event, _ := next(t, in)
	if event != "open" {
		t.Fatalf("the first event is %q", event)
	}
	return conn, in, id
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func line(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	text, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(text, "\r\n")
}

// next reads an event.
func next(t *testing.T, in *bufio.Reader) (id int, event, data string) {
	t.Helper()
	for {
		text := line(t, in)
		if text == "" {
			return id, event, data
		}
		name, value, _ := strings.Cut(text, ": ")
		switch name {
		case "id":
			id, _ = strconv.Atoi(value)
		case "event":
			event = value
		case "data":
			data = value
		default:
			t.Fatalf("line %q", text)
		}
	}
}

// expect reads the events first to last, whose data must be as publish made it.
func expect(t *testing.T, in *bufio.Reader, first, last, size int) {
	t.Helper()
	for want := first; want <= last; want++ {
		id, event, data := next(t, in)
		if id != want || event != "t" || data != body(want, size) {
			t.Fatalf("got %d, %s, %d bytes of data, want %d", id, event, len(data), want)
		}
	}
}

func body(number, size int) string {
	text := strconv.Itoa(number)
	return text + strings.Repeat("x", max(0, size-len(text)))
}

func request(number, size int) string {
	text := body(number, size)
	return fmt.Sprintf("POST /pub/room HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
}

// publisher publishes over one connection.
type publisher struct {
	conn net.Conn
	in   *bufio.Reader
}

func newPublisher(t *testing.T, addr string) *publisher {
	t.Helper()
	conn := dial(t, addr)
	return &publisher{conn: conn, in: bufio.NewReader(conn)}
}

// publish sends the messages first to last in one write and reads the answers.
func (p *publisher) publish(t *testing.T, first, last, size int) {
	t.Helper()
	var text strings.Builder
	for number := first; number <= last; number++ {
		text.WriteString(request(number, size))
	}
	write(t, p.conn, text.String())
	for range last - first + 1 {
		for i, want := range []string{"HTTP/1.1 201 Created", "Content-Length: 0", ""} {
			if got := line(t, p.in); got != want {
				t.Fatalf("line %d of the answer: %q", i, got)
			}
		}
	}
}
