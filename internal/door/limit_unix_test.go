//go:build unix

package door_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/door"
)

// limit is how many descriptors the process may have in these tests, reserve how
// many of them the door keeps then. None of the tests may run beside another one.
const (
	limit   = 256
	reserve = limit / 8
)

// limitDescriptors lets the process have so many descriptors until the test ends.
func limitDescriptors(t *testing.T, most int) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = uint64(most)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limited); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
}

// occupy takes all descriptors below next until the test ends.
func occupy(t *testing.T, next int) {
	t.Helper()
	for fd := -1; fd < next-1; {
		var err error
		if fd, err = syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
	}
}

// cut reports whether the server has closed its end of a connection.
func cut(conn net.Conn) bool { return errors.Is(conn.SetDeadline(time.Time{}), net.ErrClosed) }

// crowd is a door before a listener, and connections through it.
type crowd struct {
	door     *door.Door
	log      bytes.Buffer
	listener net.Listener
	clients  []*net.TCPConn
	conns    []*door.Conn // the servers' ends
}

// newCrowd connects clients to a door whose process may have limit descriptors.
// waiting more have been dialled and not accepted.
func newCrowd(t *testing.T, accepted, waiting int) *crowd {
	t.Helper()
	limitDescriptors(t, limit)
	c := new(crowd)
	c.door = door.New(slog.New(slog.NewJSONHandler(&c.log, nil)))
	c.listener = c.door.Listener(listen(t))
	for range accepted + waiting {
		c.clients = append(c.clients, dial(t, c.listener))
	}
	for range accepted {
		c.accept(t)
	}
	return c
}

func (c *crowd) accept(t *testing.T) *door.Conn {
	t.Helper()
	conn := accept(t, c.listener)
	c.conns = append(c.conns, conn)
	return conn
}

// wantCut wants the first n connections to be closed, and no other one.
func (c *crowd) wantCut(t *testing.T, n int) {
	t.Helper()
	for i, conn := range c.conns {
		if got, want := cut(conn), i < n; got != want {
			t.Errorf("connection %d of %d is closed: %t, want %t", i, len(c.conns), got, want)
		}
	}
	if t.Failed() {
		t.FailNow() // the clients would wait
	}
	for _, client := range c.clients[:n] {
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a client reads %v, want the end", err)
		}
	}
}

func (c *crowd) wantStats(t *testing.T, want door.Stats) {
	t.Helper()
	if got := c.door.Stats(); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
}

// TestDoor_reserve takes the last descriptor before the reserve, and the first one
// in it.
func TestDoor_reserve(t *testing.T) {
	c := newCrowd(t, 0, 2)
	occupy(t, limit-reserve-1)
	if c.accept(t).Reserved() {
		t.Error("the last descriptor before the reserve counts to it")
	}
	c.door.State(c.conns[0], http.StateActive)
	if !c.accept(t).Reserved() {
		t.Error("the first descriptor of the reserve does not count to it")
	}
	c.wantCut(t, 0)
	c.wantStats(t, door.Stats{})
}

// TestDoor_shedsOldest touches the reserve: half as many connections are closed as
// it has descriptors, those that have been quiet the longest.
func TestDoor_shedsOldest(t *testing.T) {
	c := newCrowd(t, reserve/2+2, 1)
	occupy(t, limit-reserve)
	if !c.accept(t).Reserved() {
		t.Fatal("the descriptor is not in the reserve")
	}
	c.wantCut(t, reserve/2)
	c.wantStats(t, door.Stats{Shed: reserve / 2})
}

// TestDoor_keepsBusy has connections with a request, one that had one, and one
// whose handler has said that nothing is lost with it.
func TestDoor_keepsBusy(t *testing.T) {
	c := newCrowd(t, 4, 1)
	for _, conn := range c.conns {
		c.door.State(conn, http.StateNew)
	}
	for _, i := range []int{0, 1, 2, 3} {
		c.door.State(c.conns[i], http.StateActive)
	}
	c.door.State(c.conns[0], http.StateIdle)
	c.conns[1].Dispensable()
	occupy(t, limit-reserve)
	c.accept(t)
	c.wantCut(t, 2)
	c.wantStats(t, door.Stats{Shed: 2})
}

// TestDoor_forgets has connections that have ended or are no longer the server's:
// the door knows them no more.
func TestDoor_forgets(t *testing.T) {
	c := newCrowd(t, 2, 1)
	c.door.State(c.conns[0], http.StateHijacked)
	c.conns[1].Close()
	c.door.State(c.conns[1], http.StateClosed)
	occupy(t, limit-reserve)
	c.accept(t)
	if cut(c.conns[0]) {
		t.Error("a hijacked connection was closed")
	}
	c.wantStats(t, door.Stats{})
	if !strings.Contains(c.log.String(), `"connections":0,`) {
		t.Errorf("the log does not say that there were no connections: %s", &c.log)
	}
}

// TestDoor_exhausted leaves no descriptor at all: the door closes a connection
// that waits for its client, and lets the next one in.
func TestDoor_exhausted(t *testing.T) {
	c := newCrowd(t, 1, 1)
	occupy(t, limit)
	conn := c.accept(t)
	if conn.Reserved() {
		t.Error("the descriptor that was freed counts to the reserve")
	}
	c.wantCut(t, 1)
	c.wantStats(t, door.Stats{AcceptFailures: 1, Shed: 1})
}

// scarce is a listener that has no descriptor for the first connections.
type scarce struct {
	net.Listener
	failures int
	err      error
	then     error
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures > 0 {
		s.failures--
		return nil, s.err
	}
	return nil, s.then
}

// TestDoor_Accept_waits has no descriptor for half a minute: the door tries again
// until it fails for another reason, and the log is told every ten seconds.
func TestDoor_Accept_waits(t *testing.T) {
	const attempts = 3000 // ten milliseconds each
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE} {
		t.Run(cause.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				d := door.New(slog.New(slog.NewJSONHandler(&log, nil)))
				inner := &scarce{failures: attempts, err: os.NewSyscallError("accept4", cause), then: net.ErrClosed}
				began := time.Now()
				if _, err := d.Listener(inner).Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %v", err)
				}
				if took := time.Since(began); took != 30*time.Second {
					t.Errorf("it took %v", took)
				}
				if got, want := d.Stats(), (door.Stats{AcceptFailures: attempts}); got != want {
					t.Errorf("stats are %+v, want %+v", got, want)
				}
				wantWarnings(t, &log, 1, 1001, 2001)
			})
		})
	}
}

// wantWarnings wants one line in the log for each number of failures.
func wantWarnings(t *testing.T, log *bytes.Buffer, failures ...int) {
	t.Helper()
	dec := json.NewDecoder(log)
	for _, want := range failures {
		var line struct {
			Level, Msg, Error string
			Failures          int
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Level != "WARN" || line.Msg != "descriptors are running out" || line.Error == "" || line.Failures != want {
			t.Errorf("logged %+v, want a warning at %d failures", line, want)
		}
	}
	if dec.More() {
		t.Errorf("the log has more lines than %d", len(failures))
	}
}

func TestExhausted(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EMFILE: true,
		&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.ENFILE)}: true,
		syscall.ECONNABORTED: false,
		net.ErrClosed:        false,
	} {
		if got := door.Exhausted(err); got != want {
			t.Errorf("Exhausted(%v) is %t", err, got)
		}
	}
}
