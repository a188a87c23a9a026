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
	// It must not block.
	Done func(s *Stream, sent int64, err error)
}

// errNoLoops is returned where connections cannot be taken over: on other systems
// than Linux, or if [Options.Loops] is negative.
var errNoLoops = errors.New("broker: no writer loops")

// errHungUp is why a stream ends whose client has closed its connection.
var errHungUp = errors.New("broker: the client hung up")

// loops are the broker's writer loops, started with the first stream for one.
type loops struct {
	start sync.Once
	all   []*loop
	err   error
}

// TakesOver reports whether [Broker.TakeOver] can be called.
func (b *Broker) TakesOver() bool { return b.opts.Loops >= 0 && canPoll }

// TakeOver gives s and its connection to a writer loop, which closes both in the
// end. When it returns an error, the caller has to close s.
func (b *Broker) TakeOver(s *Stream, t Takeover) error {
	defer t.Conn.Close()
	if !b.TakesOver() {
		return errNoLoops
	}
	b.loops.start.Do(b.startLoops)
	if b.loops.err != nil {
		return b.loops.err
	}
	fd, err := duplicate(t.Conn)
	if err != nil {
		return err
	}
	l := b.loops.all[s.id%uint64(len(b.loops.all))]
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

func (b *Broker) startLoops() {
	n := b.opts.Loops
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		l, err := newLoop(b)
		if err != nil {
			b.loops.err = err
			break
		}
		b.loops.all = append(b.loops.all, l)
		b.stopped.Go(l.run)
		b.stopped.Go(l.watch)
	}
	if b.loops.err != nil {
		b.loops.end()
	}
}

// stopLoops makes the loops end their streams and return.
func (b *Broker) stopLoops() {
	b.loops.start.Do(func() { b.loops.err = ErrClosed }) // none will be started
	b.loops.end()
}

func (ls *loops) end() {
	for _, l := range ls.all {
		l.stop()
	}
}

// wake implements [carrier].
func (so *socket) wake(*Stream) { so.loop.errand(so) }

// timedOut reports whether err means that the client took nothing for too long.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// clock returns the time since the broker was made, never 0.
func (b *Broker) clock(now time.Time) time.Duration { return now.Sub(b.began) + 1 }
