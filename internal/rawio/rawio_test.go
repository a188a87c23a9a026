package rawio_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/rawio"
)

// patience limits how long a test waits for one thing.
const patience = time.Minute

// pair returns a wrapped connection and the client's end of it.
func pair(t *testing.T) (net.Conn, *net.TCPConn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn := rawio.Wrap(accepted)
	t.Cleanup(func() { conn.Close() })
	if err := errors.Join(client.SetDeadline(time.Now().Add(patience)), conn.SetDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	return conn, client.(*net.TCPConn)
}

func TestConn(t *testing.T) {
	conn, client := pair(t)
	buf := make([]byte, 100)
	for _, text := range []string{"one", "two"} {
		if _, err := io.WriteString(client, text); err != nil {
			t.Fatal(err)
		}
		n, err := io.ReadAtLeast(conn, buf, len(text))
		if err != nil || string(buf[:n]) != text {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		if n, err := io.WriteString(conn, text); err != nil || n != len(text) {
			t.Fatalf("wrote %d bytes, %v", n, err)
		}
		if n, err := io.ReadFull(client, buf[:len(text)]); err != nil || string(buf[:n]) != text {
			t.Fatalf("the client read %q, %v", buf[:n], err)
		}
	}
	if n, err := conn.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
	if n, err := conn.Write(nil); n != 0 || err != nil {
		t.Errorf("a write of nothing: %d, %v", n, err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %d, %v", n, err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %d, %v after the end", n, err)
	}
}

// What one side writes in large pieces the other reads whole, however slowly it reads.
func TestConn_large(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcde\n"), 1<<20)
	for _, tt := range []struct {
		name    string
		reverse bool
	}{{"writes", false}, {"reads", true}} {
		t.Run(tt.name, func(t *testing.T) {
			conn, client := pair(t)
			var from, to io.ReadWriteCloser = conn, client
			if tt.reverse {
				from, to = client, conn
			}
			wrote := make(chan error, 1)
			go func() { // ends with the connection
				_, err := from.Write(want)
				wrote <- errors.Join(err, from.(interface{ CloseWrite() error }).CloseWrite())
			}()
			var got bytes.Buffer
			for buf := make([]byte, 1<<20); ; {
				n, err := to.Read(buf[:1+got.Len()%len(buf)])
				got.Write(buf[:n])
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("read %d bytes of %d, or others", got.Len(), len(want))
			}
		})
	}
}

// Writes at the same time do not mix.
func TestConn_Write_concurrent(t *testing.T) {
	conn, client := pair(t)
	const length, each = 100_000, 20
	var writers sync.WaitGroup
	for _, letter := range []string{"a", "b", "c"} {
		writers.Go(func() { // ends with the connection
			for range each {
				if _, err := io.WriteString(conn, strings.Repeat(letter, length)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 * each {
		buf := make([]byte, length)
		if _, err := io.ReadFull(client, buf); err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(buf), string(buf[:1])) != length {
			t.Fatal("two writes are mixed")
		}
	}
	writers.Wait()
}

// checkFailure checks an error of an operation that waited, or would have.
func checkFailure(t *testing.T, err error, op string, want error) {
	t.Helper()
	var failed *net.OpError
	if !errors.Is(err, want) || !errors.As(err, &failed) || failed.Op != op || failed.Addr == nil {
		t.Errorf("got %#v, want %v of a %s", err, want, op)
	}
	if timeout := errors.Is(want, os.ErrDeadlineExceeded); failed != nil && failed.Timeout() != timeout {
		t.Errorf("%v is a timeout: %v", err, !timeout)
	}
}

func TestConn_deadline(t *testing.T) {
	conn, client := pair(t)
	past := time.Unix(1, 0)
	buf := make([]byte, 1<<20)

	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(past); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(buf)
	checkFailure(t, err, "read", os.ErrDeadlineExceeded)
	_, err = conn.Write(buf)
	checkFailure(t, err, "write", os.ErrDeadlineExceeded)

	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(buf); n != 1 || err != nil {
		t.Errorf("after another deadline: %d, %v", n, err)
	}
	failed := make(chan error)
	go func() { // ends with the deadline
		_, err := conn.Read(buf)
		failed <- err
	}()
	if err := conn.SetReadDeadline(past); err != nil {
		t.Fatal(err)
	}
	checkFailure(t, <-failed, "read", os.ErrDeadlineExceeded)
	go func() { // ends with the deadline, once the sockets are full
		for {
			if _, err := conn.Write(buf); err != nil {
				failed <- err
				return
			}
		}
	}()
	if _, err := io.ReadFull(client, make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetWriteDeadline(past); err != nil {
		t.Fatal(err)
	}
	checkFailure(t, <-failed, "write", os.ErrDeadlineExceeded)
}

func TestConn_Close(t *testing.T) {
	conn, _ := pair(t)
	failed := make(chan error)
	go func() { // ends with Close
		_, err := conn.Read(make([]byte, 1))
		failed <- err
	}()
	conn.Close()
	checkFailure(t, <-failed, "read", net.ErrClosed)
	_, err := conn.Write([]byte("x"))
	checkFailure(t, err, "write", net.ErrClosed)
}

// A client that breaks the connection is no end of what it sends.
func TestConn_reset(t *testing.T) {
	conn, client := pair(t)
	if err := client.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	client.Close()
	_, err := conn.Read(make([]byte, 1))
	checkFailure(t, err, "read", syscall.ECONNRESET)
	_, err = conn.Write([]byte("x"))
	checkFailure(t, err, "write", syscall.EPIPE)
}

func TestConn_SyscallConn(t *testing.T) {
	conn, _ := pair(t)
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	called := false
	if err := raw.Control(func(uintptr) { called = true }); err != nil || !called {
		t.Errorf("called: %v, %v", called, err)
	}
}

// What is no TCP connection stays as it is.
func TestWrap_other(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if rawio.Wrap(here) != here {
		t.Error("a pipe is wrapped")
	}
}

func BenchmarkConn(b *testing.B) {
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := new(net.Dialer).DialContext(b.Context(), "tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	accepted, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer accepted.Close()
	for _, tt := range []struct {
		name string
		a, b net.Conn
	}{{"net", accepted, client}, {"rawio", rawio.Wrap(accepted), rawio.Wrap(client)}} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			p := make([]byte, 100)
			for b.Loop() {
				if _, err := tt.a.Write(p); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(tt.b, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
