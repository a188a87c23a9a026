package netpoll_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/internal/netpoll"
)

// patience limits how long a test waits.
const patience = time.Minute

// pair returns the descriptor of a server's side, and the client's side.
func pair(t *testing.T) (fd int, client net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(patience))
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() // the duplicate lives on
	if fd, err = netpoll.Duplicate(server); err != nil {
		t.Fatal(err)
	}
	return fd, client
}

// poller returns a poll and its events.
func poller(t *testing.T) (*netpoll.Poll, <-chan netpoll.Event) {
	t.Helper()
	p, err := netpoll.New()
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan netpoll.Event, 16)
	ended := make(chan struct{})
	go func() { // ends with the set
		defer close(ended)
		for {
			found, err := p.Wait()
			if err != nil {
				return
			}
			for _, e := range found {
				events <- e
			}
		}
	}()
	t.Cleanup(func() {
		p.Close()
		<-ended
	})
	return p, events
}

func next(t *testing.T, events <-chan netpoll.Event) netpoll.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
		return netpoll.Event{}
	}
}

// TestPoll_Wait_room: once its client has read, a full socket is reported, and nothing
// that was written is lost.
func TestPoll_Wait_room(t *testing.T) {
	p, events := poller(t)
	fd, client := pair(t)
	defer netpoll.Close(fd, false)
	if err := p.Add(int32(fd), 7, patience, false); err != nil {
		t.Fatal(err)
	}
	if e := next(t, events); e != (netpoll.Event{FD: int32(fd), Generation: 7}) {
		t.Fatalf("at first: %+v", e)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	got := make(chan []byte, 1)
	sent, err := netpoll.Write(int32(fd), want)
	if err != nil || sent == 0 || sent == len(want) {
		t.Fatalf("wrote %d of %d bytes, %v", sent, len(want), err)
	}
	go func() { // ends with the connection
		all, _ := io.ReadAll(client)
		got <- all
	}()
	for sent < len(want) {
		if e := next(t, events); e.Gone {
			t.Fatalf("gone: %v", netpoll.HangUpCause(int32(fd)))
		}
		n, err := netpoll.Write(int32(fd), want[sent:])
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	netpoll.Shutdown(int32(fd))
	if all := <-got; !bytes.Equal(all, want) {
		t.Errorf("the client read %d bytes, want %d", len(all), len(want))
	}
}

func TestPoll_Wait_gone(t *testing.T) {
	p, events := poller(t)
	fd, client := pair(t)
	defer netpoll.Close(fd, true)
	if err := p.Add(int32(fd), 1, patience, false); err != nil {
		t.Fatal(err)
	}
	client.Close()
	for !next(t, events).Gone {
	}
	if err := netpoll.HangUpCause(int32(fd)); !errors.Is(err, netpoll.ErrHungUp) {
		t.Errorf("the cause is %v", err)
	}
	var err error
	for range 3 { // the first write after a hang-up may pass
		_, err = netpoll.Write(int32(fd), []byte("x"))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write to it: %v", err)
	}
}

func TestPoll_Wait_closed(t *testing.T) {
	p, err := netpoll.New()
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if _, err := p.Wait(); err == nil {
		t.Error("a closed set can be waited for")
	}
}

func TestDuplicate_noDescriptor(t *testing.T) {
	conn, other := net.Pipe()
	defer conn.Close()
	defer other.Close()
	if _, err := netpoll.Duplicate(conn); err == nil {
		t.Error("a pipe in memory has a descriptor")
	}
}
