package broker

import (
	"errors"
	"net"

	"github.com/sluicehq/sluice/broker/internal/netpoll"
	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// Takeover is a connection for a writer loop.
type Takeover struct {
	// Conn is a TCP connection from which nothing more will be read. TakeOver closes
	// it, unless it returns an error: then the caller can still answer the client.
	Conn net.Conn
	// Head is sent before the first event.
	Head []byte
	// Sealer seals what is sent after the head, which is sealed already. Nobody else may
	// use it. nil: nothing is sealed.
	Sealer *tlsrecord.Sealer
	// Chunked says that the response has the chunked transfer coding. Without it, the
	// body ends with the connection.
	Chunked bool
	// Done is called once, after the stream is closed, with the number of bytes sent
	// and the reason: [io.EOF] after $close, [os.ErrDeadlineExceeded] if the client
	// accepted nothing for the write timeout, or the error of its connection. It runs
	// in a goroutine of its own, for which [Broker.Close] waits.
	Done func(s *Stream, sent int64, err error)
}

// errNoLoops is returned for streams that [Broker.TakesOver] refuses.
var errNoLoops = errors.New("broker: no writer loops")

// HasLoops reports whether streams can be given to writer loops at all: the system must
// support it and [Options.Loops] must allow it.
func (b *Broker) HasLoops() bool { return b.opts.Loops >= 0 && netpoll.Supported }

// TakesOver reports whether [Broker.TakeOver] can be called for s: there must be loops, s
// must be of this broker, and all its channels must be in one shard.
func (b *Broker) TakesOver(s *Stream) bool { return b.HasLoops() && s.broker == b && !s.merges() }

// TakeOver gives s and its connection to a writer loop, which closes both in the end.
// If it returns an error, for instance because no descriptor is free, the caller must
// close both.
func (b *Broker) TakeOver(s *Stream, t Takeover) error {
	if !b.TakesOver(s) {
		return errNoLoops
	}
	c := s.cursors[0]
	all, err := c.shard.startLoops()
	if err != nil {
		return err
	}
	fd, err := netpoll.Duplicate(t.Conn)
	if err != nil {
		return err
	}
	l := all[s.id%uint64(len(all))]
	t.Conn.Close()
	fd = netpoll.Lowest(fd) // most likely that of t.Conn: where the highest descriptors are a reserve, they stay free
	so := &socket{loop: l, cursor: c, done: t.Done, sealer: t.Sealer, stall: &stall{unsent: t.Head}, fd: int32(fd)}
	if so.sealer != nil {
		so.stall = &stall{sealed: t.Head}
	}
	if t.Chunked {
		so.coding = chunked
	}
	if !l.adopt(so) {
		netpoll.Close(fd, false)
		return ErrClosed
	}
	return nil
}

func newLoop(sh *shard) (*loop, error) {
	p, err := netpoll.New()
	if err != nil {
		return nil, err
	}
	return &loop{shard: sh, poll: p, news: make(chan struct{}, 1)}, nil
}

// adopt makes so the loop's own. It reports false if the loop has stopped.
func (l *loop) adopt(so *socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.inbox.arrived = append(l.inbox.arrived, so)
	l.signal()
	return true
}
