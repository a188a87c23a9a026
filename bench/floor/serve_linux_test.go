package floor_test

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/bench/floor"
)

// TestServe_stalledReader has one reader read nothing while more is published than
// its socket takes: another gets everything meanwhile, and it does afterwards.
// Large messages are cut by a full socket, small ones mostly fit or do not.
func TestServe_stalledReader(t *testing.T) {
	for _, mode := range modes() {
		for _, test := range []struct {
			name               string
			count, batch, size int
		}{
			{"large", 300, 1, 60_000},
			{"small", 6000, 20, 2000},
		} {
			t.Run(mode+" "+test.name, func(t *testing.T) {
				addr := start(t, mode)
				_, stalled, _ := subscribe(t, addr, "")
				_, prompt, _ := subscribe(t, addr, "")
				p := newPublisher(t, addr)
				for first := 1; first <= test.count; first += test.batch {
					last := first + test.batch - 1
					p.publish(t, first, last, test.size)
					expect(t, prompt, first, last, test.size)
				}
				expect(t, stalled, 1, test.count, test.size)
				p.publish(t, test.count+1, test.count+1, test.size)
				expect(t, stalled, test.count+1, test.count+1, test.size)
			})
		}
	}
}

// TestServe_manyReaders publishes to so many readers that the second message may come
// while a pass runs, where 1ms serves other sockets, too: the readers that were passed
// before get it as well.
func TestServe_manyReaders(t *testing.T) {
	for _, mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			addr := start(t, mode)
			var readers []*bufio.Reader
			for range 300 {
				_, in, _ := subscribe(t, addr, "")
				readers = append(readers, in)
			}
			p := newPublisher(t, addr)
			const rounds = 20
			for round := range rounds {
				p.publish(t, 2*round+1, 2*round+1, 100)
				p.publish(t, 2*round+2, 2*round+2, 100)
				for _, in := range readers {
					expect(t, in, 2*round+1, 2*round+2, 100)
				}
			}
		})
	}
}

// TestServe_coalesce_betweenPasses publishes one by one to many readers: each message is
// answered when the pass with the one before has ended, so the reader whose turn is the
// last has a write of its own for each. Answered during the pass, some would share one.
func TestServe_coalesce_betweenPasses(t *testing.T) {
	addr := start(t, "coalesce")
	var conn *net.TCPConn
	var in *bufio.Reader
	for range 300 {
		conn, in, _ = subscribe(t, addr, "")
	}
	before := segments(t, conn)
	p := newPublisher(t, addr)
	const count = 100
	for number := 1; number <= count; number++ {
		acknowledge(t, conn)
		p.publish(t, number, number, 100)
	}
	expect(t, in, 1, count, 100)
	if got := segments(t, conn) - before; got < count {
		t.Fatalf("%d writes for %d messages", got, count)
	}
}

// TestServe_comingAndGoing has readers leave while others are served.
func TestServe_comingAndGoing(t *testing.T) {
	for _, mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			addr := start(t, mode)
			p := newPublisher(t, addr)
			_, stays, _ := subscribe(t, addr, "")
			const each = 20
			for round := range 30 {
				var leaving []net.Conn
				for range 10 {
					conn, _, id := subscribe(t, addr, "")
					if want := round * each; id != want {
						t.Fatalf("the first event of a new reader has id %d, want %d", id, want)
					}
					leaving = append(leaving, conn)
				}
				for i := range each {
					number := round*each + i + 1
					p.publish(t, number, number, 100)
					if i < len(leaving) {
						_ = leaving[i].Close()
					}
				}
				_, comes, id := subscribe(t, addr, fmt.Sprintf("Last-Event-ID: %d\r\n", round*each))
				if id != round*each {
					t.Fatalf("resumed at %d, want %d", id, round*each)
				}
				expect(t, comes, round*each+1, (round+1)*each, 100)
				expect(t, stays, round*each+1, (round+1)*each, 100)
			}
		})
	}
}

// TestServe_resume_keeps256 asks for more than is kept.
func TestServe_resume_keeps256(t *testing.T) {
	addr := start(t, "1ms")
	p := newPublisher(t, addr)
	for first := 1; first <= 2000; first += 100 {
		p.publish(t, first, first+99, 100)
	}
	_, in, id := subscribe(t, addr, "Last-Event-ID: 1744\r\n")
	if id != 1744 {
		t.Fatalf("resumed at %d: not all of the last 256 are kept", id)
	}
	expect(t, in, 1745, 2000, 100)
	if _, _, id = subscribe(t, addr, "Last-Event-ID: 1\r\n"); id < 1000 || id > 1744 {
		t.Fatalf("resumed at %d", id)
	}
}

// TestServe_resume_muchAtOnce is sent more than a new socket takes.
func TestServe_resume_muchAtOnce(t *testing.T) {
	addr := start(t, "coalesce")
	const count, size = 250, 60_000 // 15 MB
	p := newPublisher(t, addr)
	for number := 1; number <= count; number++ {
		p.publish(t, number, number, size)
	}
	_, in, _ := subscribe(t, addr, "Last-Event-ID: 0\r\n")
	expect(t, in, 1, count, size)
}

// segments is how many TCP segments with data a connection has been sent: one a write,
// and what the kernel sends twice because an answer was late (a tail loss probe).
func segments(t *testing.T, conn *net.TCPConn) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if fault := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); fault != nil || err != nil {
		t.Fatal(fault, err)
	}
	return int(info.Data_segs_in)
}

// acknowledge has the system acknowledge what comes next on conn at once. Otherwise
// it may wait a moment, and when ten segments are on their way the sender puts
// several writes into one.
func acknowledge(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if fault := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}); fault != nil || err != nil {
		t.Fatal(fault, err)
	}
}

// TestServe_writes counts the writes that a reader is sent ten messages with that
// came together.
func TestServe_writes(t *testing.T) {
	for mode, want := range map[string]int{"write": 10, "coalesce": 1, "1ms": 1} {
		t.Run(mode, func(t *testing.T) {
			addr := start(t, mode)
			conn, in, _ := subscribe(t, addr, "")
			p := newPublisher(t, addr)
			least := math.MaxInt // of some tries: what is sent twice is no write
			for try := range 5 {
				before := segments(t, conn)
				p.publish(t, 10*try+1, 10*try+10, 100)
				expect(t, in, 10*try+1, 10*try+10, 100)
				least = min(least, segments(t, conn)-before)
			}
			if least != want {
				t.Fatalf("%d writes, want %d", least, want)
			}
		})
	}
}

// TestServe_paced publishes one by one for some time: a reader is written to once a
// millisecond at most.
func TestServe_paced(t *testing.T) {
	addr := start(t, "1ms")
	conn, in, _ := subscribe(t, addr, "")
	before := segments(t, conn)
	p := newPublisher(t, addr)
	began := time.Now()
	const count = 1000
	for number := 1; number <= count; number++ {
		p.publish(t, number, number, 100)
	}
	expect(t, in, 1, count, 100)
	passes := int(time.Since(began)/floor.Pace) + 1
	if got := segments(t, conn) - before; got > passes {
		t.Fatalf("%d writes in %d ms", got, passes)
	}
}

// TestServe_pieces sends a request byte by byte, then one and a half at once.
func TestServe_pieces(t *testing.T) {
	addr := start(t, "coalesce")
	_, in, _ := subscribe(t, addr, "")
	p := newPublisher(t, addr)
	text := request(1, 20) + request(2, 20)
	cut := len(request(1, 20)) - 1
	for i := range cut {
		write(t, p.conn, text[i:i+1])
	}
	write(t, p.conn, text[cut:cut+30])
	expect(t, in, 1, 1, 20)
	write(t, p.conn, text[cut+30:])
	expect(t, in, 2, 2, 20)
}

// TestServe_refuses ends connections that make no sense, and only these.
func TestServe_refuses(t *testing.T) {
	addr := start(t, "coalesce")
	_, in, _ := subscribe(t, addr, "")
	conn := dial(t, addr)
	write(t, conn, "DELETE /pub/room HTTP/1.1\r\n\r\n")
	answer := bufio.NewReader(conn)
	if got := line(t, answer); got != "HTTP/1.1 400 Bad Request" {
		t.Fatalf("answered %q", got)
	}
	if rest, err := io.ReadAll(answer); err != nil {
		t.Fatalf("not closed in order: %q, %v", rest, err)
	}
	newPublisher(t, addr).publish(t, 1, 1, 10)
	expect(t, in, 1, 1, 10)
}

func TestServe_badAddress(t *testing.T) {
	for _, addr := range []string{"", "localhost:1", "127.0.0.1:http"} {
		if err := floor.Serve(addr, floor.Write, nil); err == nil {
			t.Errorf("serves on %q", addr)
		}
	}
}

func TestParseMode(t *testing.T) {
	for name, want := range map[string]floor.Mode{"write": floor.Write, "coalesce": floor.Coalesce, "1ms": floor.Paced} {
		if got, err := floor.ParseMode(name); got != want || err != nil {
			t.Errorf("ParseMode(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := floor.ParseMode("2ms"); err == nil {
		t.Error(`"2ms" is a mode`)
	}
}
