package broker

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// Takeover is a connection for a writer loop.
type Takeover struct {
	// Conn is a TCP connection of which nothing more will be read. TakeOver closes
	// it, in any case.
	Conn net.Conn
	// Head is sent before the first event.
	Head []byte
	// Chunked is set if the answer has the chunked transfer coding; else it ends with
	// the connection.
	Chunked bool
	// Done is called once, after the stream is closed, with the bytes that were
	// sent and why it ended: [io.EOF] after $close, [os.ErrDeadlineExceeded] if the
	// client took nothing for the write time-out, or the error of its connection.
	// It has a goroutine of its own, for which [Broker.Close] waits.
	Done func(s *Stream, sent int64, err error)
}

// errNoLoops is returned where connections cannot be taken over: on other systems
// than Linux, or if [Options.Loops] is negative.
var errNoLoops = errors.New("broker: no writer loops")

// errComposite is returned for a stream over several shards, which no loop can write.
var errComposite = errors.New("broker: the stream's channels are in several shards")

// errHungUp is why a stream ends whose client has closed its connection.
var errHungUp = errors.New("broker: the client hung up")

// loops are the broker's writer loops, started with the first stream for one.
type loops struct {
	mu   sync.Mutex
	all  []*loop // guarded by mu; static once it is not nil
	over bool    // guarded by mu
}

// TakesOver reports whether [Broker.TakeOver] can be called.
func (b *Broker) TakesOver() bool { return b.opts.Loops >= 0 && canPoll }

// TakeOver gives s and its connection to a writer loop, which closes both in the
// end. When it returns an error, the caller has to close s. A stream that is
// [Stream.Composite] cannot be taken over.
func (b *Broker) TakeOver(s *Stream, t Takeover) error {
	if s.broker != b { // it is of one of the shards
		return s.broker.TakeOver(s, t)
	}
	defer t.Conn.Close()
	if !b.TakesOver() {
		return errNoLoops
	}
	if s.Composite() {
		return errComposite
	}
	all, err := b.startLoops()
	if err != nil {
		return err
	}
	fd, err := duplicate(t.Conn)
	if err != nil {
		return err
	}
	l := all[s.id%uint64(len(all))]
	so := &socket{loop: l, stream: s, done: t.Done, jam: &jam{rest: t.Head}, fd: int32(fd), alarm: newAlarm()}
	if t.Chunked {
		so.coding = chunked
	}
	if !l.adopt(so) {
		closeSocket(fd, false)
		return ErrClosed
	}
	return nil
}

// startLoops returns the loops, started if need be. Where that fails, for want of
// descriptors, the next stream tries again.
func (b *Broker) startLoops() ([]*loop, error) {
	b.loops.mu.Lock()
	defer b.loops.mu.Unlock()
	if b.loops.over {
		return nil, ErrClosed
	}
	if b.loops.all != nil {
		return b.loops.all, nil
	}
	n := b.opts.Loops
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	all := make([]*loop, n)
	for i := range all {
		l, err := newLoop(b)
		if err != nil {
			for _, l := range all[:i] {
				l.poll.close()
			}
			return nil, err
		}
		all[i] = l
	}
	for _, l := range all {
		b.stopped.Go(l.run)   // ends with stop
		b.stopped.Go(l.watch) // ends with run
	}
	b.loops.all = all
	return all, nil
}

// stopLoops makes the loops end their streams and return.
func (b *Broker) stopLoops() {
	b.loops.mu.Lock()
	defer b.loops.mu.Unlock()
	b.loops.over = true
	for _, l := range b.loops.all {
		l.stop()
	}
}

// wake implements [carrier].
func (so *socket) wake(*Stream) { so.loop.errand(so) }

// timedOut reports whether err means that the client took nothing for too long.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// clock returns the time since the broker was made, never 0.
func (b *Broker) clock(now time.Time) time.Duration { return now.Sub(b.began) + 1 }
