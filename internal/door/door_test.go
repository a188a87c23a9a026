package door_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/sluicehq/sluice/internal/door"
	"github.com/sluicehq/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// listen returns a listener on loopback that ends with the test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial returns the client's end of a connection, which ends with the test.
func dial(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// accept returns the server's end of the next connection, which ends with the test.
func accept(t *testing.T, l net.Listener) *door.Conn {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return door.Of(conn)
}

func TestDoor_Listener_closesWhatItStandsBefore(t *testing.T) {
	inner := listen(t)
	outer := door.New(quietLog()).Listener(inner)
	if err := outer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := outer.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v, want net.ErrClosed", err)
	}
	if _, err := inner.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept from the inner listener: %v, want net.ErrClosed", err)
	}
}

func TestDoor_idle(t *testing.T) {
	d := door.New(quietLog())
	l := d.Listener(listen(t))
	dial(t, l)
	if c := accept(t, l); c.Reserved() {
		t.Error("a connection to an idle process has a descriptor of the reserve")
	}
	if got, want := d.Stats(), (door.Stats{}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
}

// TestDoor_State_foreign is about connections that did not come through the door.
func TestDoor_State_foreign(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	d := door.New(quietLog())
	for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateHijacked, http.StateClosed} {
		d.State(here, state) // does nothing
	}
}

func TestOf(t *testing.T) {
	l := door.New(quietLog()).Listener(listen(t))
	dial(t, l)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if door.Of(conn) == nil {
		t.Error("a connection that came through the door is not known")
	}
	if door.Of(tls.Server(conn, &tls.Config{})) != door.Of(conn) {
		t.Error("a connection in TLS is not known")
	}
	if bare := door.Of(conn).Conn; door.Of(bare) != nil || door.Of(tls.Server(bare, &tls.Config{})) != nil || door.Of(nil) != nil {
		t.Error("a connection that did not come through the door is known")
	}
}

func TestConn_CloseWrite(t *testing.T) {
	l := door.New(quietLog()).Listener(listen(t))
	client, conn := dial(t, l), accept(t, l)
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("the other direction has ended, too: %v", err)
	}
}

// TestConn_unsupported has a connection that is no socket.
func TestConn_unsupported(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	conn := &door.Conn{Conn: here}
	if err := conn.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite: %v", err)
	}
	if _, err := conn.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn: %v", err)
	}
}

// TestConn_Cork: what is written in between arrives in one go, and nothing of it before.
func TestConn_Cork(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	conn := &door.Conn{Conn: here}
	uncorked := make(chan error, 1)
	b := make([]byte, 100)
	for range 2 {
		conn.Cork(new(bytes.Buffer))
		for _, part := range []string{"one ", "two ", "three"} { // nobody reads yet
			if n, err := io.WriteString(conn, part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		go func() { uncorked <- conn.Uncork() }() // ends when it is read
		if n, err := there.Read(b); string(b[:n]) != "one two three" {
			t.Errorf("read %q, %v", b[:n], err)
		}
		if err := <-uncorked; err != nil {
			t.Error(err)
		}
	}
	there.Close()
	conn.Cork(new(bytes.Buffer))
	if _, err := io.WriteString(conn, "four"); err != nil {
		t.Error(err)
	}
	if err := conn.Uncork(); err == nil {
		t.Error("what nobody can read was sent")
	}
}
