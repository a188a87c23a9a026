package peers_test

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/bench/peers"
)

const (
	readers    = 20
	publishers = 4
	published  = 200 // messages, of all publishers together
)

// TestPeer_deliversEverything is what a peer must pass before it is timed.
func TestPeer_deliversEverything(t *testing.T) {
	for _, p := range peers.All() {
		t.Run(p.Name, func(t *testing.T) {
			addr := start(t, p, peers.Options{Streams: readers, Channels: 1})
			first := newPublisher(t, p, addr)
			if p.Subscribe == nil {
				for number := range published {
					if err := first.publish("room", message(1, number)); err != nil {
						t.Fatal(err)
					}
				}
				return
			}
			var streams []<-chan event
			for range readers {
				streams = append(streams, read(t, p, addr, "room", ""))
			}
			settle(t, first, "room", streams)
			elsewhere := read(t, p, addr, "hall", "")
			settle(t, first, "hall", []<-chan event{elsewhere})
			publishAll(t, p, addr)
			for i, events := range streams {
				if err := check(t, events); err != nil {
					t.Errorf("reader %d: %v", i, err)
				}
			}
			for len(elsewhere) > 0 {
				if e := <-elsewhere; e.publisher != probe {
					t.Fatalf("a reader of another channel got %v", e)
				}
			}
		})
	}
}

// publishAll publishes from all publishers at once.
func publishAll(t *testing.T, p peers.Peer, addr string) {
	t.Helper()
	faults := make(chan error, publishers)
	for number := range publishers {
		one := newPublisher(t, p, addr)
		go func() { // ends when it has published its share
			for i := 1; i <= published/publishers; i++ {
				if err := one.publish("room", message(number, i)); err != nil {
					faults <- fmt.Errorf("publisher %d, message %d: %w", number, i, err)
					return
				}
			}
			faults <- nil
		}()
	}
	for range publishers {
		if err := <-faults; err != nil {
			t.Fatal(err)
		}
	}
}

// check reads a stream until all messages are there, each publisher's in order.
func check(t *testing.T, events <-chan event) error {
	t.Helper()
	var last [publishers]int
	for had := 0; had < published; {
		e := next(t, events)
		if e.publisher == probe {
			continue
		}
		if e.number != last[e.publisher]+1 {
			return fmt.Errorf("publisher %d: message %d after %d", e.publisher, e.number, last[e.publisher])
		}
		last[e.publisher] = e.number
		had++
	}
	return nil
}

// TestPeer_stalledReader has a reader read nothing until its publisher has published
// all or has to wait: then it gets everything, but from those that say otherwise.
func TestPeer_stalledReader(t *testing.T) {
	for _, p := range peers.All() {
		if p.Subscribe == nil || p.Loses != "" {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			addr := start(t, p, peers.Options{Streams: readers, Channels: 1})
			stream := subscribe(t, p, addr, "room", "")
			one := newPublisher(t, p, addr)
			const count, size = 2000, 8000 // 16 MB
			var sent atomic.Int64
			fault := make(chan error, 1)
			go func() { // ends when all are published, or with the connection
				for number := 1; number <= count; number++ {
					if err := one.publish("room", sized(1, number, size)); err != nil {
						fault <- err
						return
					}
					sent.Add(1)
				}
				fault <- nil
			}()
			for before := int64(-1); before != sent.Load(); {
				before = sent.Load()
				time.Sleep(200 * time.Millisecond) // another process: there is nothing to wait for
			}
			events := follow(p, stream)
			for number := 1; number <= count; number++ {
				if e := next(t, events); e.number != number {
					t.Fatalf("got message %d, want %d", e.number, number)
				}
			}
			if err := <-fault; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestPeer_stalledReader_sluice has a reader of Sluice read nothing: publishers do not
// wait for it, and when it reads again it is told of each gap, and gets all else.
func TestPeer_stalledReader_sluice(t *testing.T) {
	p, _ := peers.ByName("sluice")
	addr := start(t, p, peers.Options{Streams: readers, Channels: 1})
	stream := subscribe(t, p, addr, "room", "")
	one := newPublisher(t, p, addr)
	const count, size = 2000, 16_000 // 32 MB
	for number := 1; number <= count; number++ {
		if err := one.publish("room", sized(1, number, size)); err != nil {
			t.Fatal(err)
		}
	}
	last, gaps, told := 0, 0, false
	for lines := bufio.NewScanner(stream); last < count && lines.Scan(); {
		if lines.Text() == "event: $gap" {
			gaps, told = gaps+1, true
		}
		for _, e := range messages(lines.Text()) {
			if e.number <= last || e.number > last+1 && !told {
				t.Fatalf("got message %d after %d", e.number, last)
			}
			last, told = e.number, false
		}
	}
	if last != count || gaps == 0 {
		t.Errorf("got messages up to %d, %d gaps", last, gaps)
	}
}

// TestPeer_resume has a reader come back to those that say they can do that.
func TestPeer_resume(t *testing.T) {
	for _, p := range peers.All() {
		if !p.Resume {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			addr := start(t, p, peers.Options{Streams: readers, Channels: 1})
			one := newPublisher(t, p, addr)
			before := read(t, p, addr, "room", "")
			settle(t, one, "room", []<-chan event{before})
			const missed = 50
			e := event{}
			for number := 1; number <= 10+missed; number++ {
				if err := one.publish("room", message(1, number)); err != nil {
					t.Fatal(err)
				}
				for number == 10 && (e.publisher != 1 || e.number != 10) {
					e = next(t, before)
				}
			}
			after := read(t, p, addr, "room", e.id)
			if err := one.publish("room", message(1, 11+missed)); err != nil {
				t.Fatal(err)
			}
			for number := 11; number <= 11+missed; number++ {
				if e := next(t, after); e.publisher != 1 || e.number != number {
					t.Fatalf("got %v, want message %d", e, number)
				}
			}
		})
	}
}

func TestByName(t *testing.T) {
	for _, p := range peers.All() {
		got, ok := peers.ByName(p.Name)
		if !ok || got.Name != p.Name {
			t.Errorf("ByName(%q) = %q, %t", p.Name, got.Name, ok)
		}
		if p.Version(peers.Options{}) == "" {
			t.Errorf("%s has no version", p.Name)
		}
	}
	if _, ok := peers.ByName("nobody"); ok {
		t.Error(`ByName("nobody") found one`)
	}
}

// TestSluice_Version asks a binary that is of another version than this one.
func TestSluice_Version(t *testing.T) {
	p, _ := peers.ByName("sluice")
	got := p.Version(peers.Options{SluiceBin: buildSluice(t, "v9.8.7")})
	if !strings.HasPrefix(got, "sluice v9.8.7 go") {
		t.Errorf("got %q", got)
	}
	if got := p.Version(peers.Options{SluiceBin: "/nonexistent"}); got != "unknown" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestServe_refuses(t *testing.T) {
	for _, name := range []string{"sluice", "nchan", "node-sse", "floor-2ms", "nobody"} {
		if err := peers.Serve(name, "127.0.0.1:0", peers.Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Serve(%q) = %v", name, err)
		}
	}
}

func TestPeer_Command_lacksBinary(t *testing.T) {
	for _, name := range []string{"sluice", "nethttp", "node-sse"} {
		p, _ := peers.ByName(name)
		if _, err := p.Command("127.0.0.1:0", t.TempDir(), peers.Options{}); err == nil {
			t.Errorf("%s can be started without a binary", name)
		}
	}
	p, _ := peers.ByName("durable-streams")
	if _, err := p.Command("127.0.0.1:0", t.TempDir(), peers.Options{Node: t.TempDir()}); !errors.Is(err, peers.ErrNotInstalled) {
		t.Errorf("%s without its package: %v", p.Name, err)
	}
	t.Setenv("PATH", "")
	for _, name := range []string{"nchan", "node-sse"} {
		p, _ := peers.ByName(name)
		if _, err := p.Command("127.0.0.1:0", t.TempDir(), peers.Options{Node: "../node"}); !errors.Is(err, peers.ErrNotInstalled) {
			t.Errorf("%s without its program: %v", name, err)
		}
	}
	if _, err := exec.LookPath("nginx"); err == nil {
		t.Error("nginx was found without a path")
	}
}
