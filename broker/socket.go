package broker

import (
	"sync/atomic"
	"time"
)

// socket is a connection that a loop has taken over, with the stream that it
// carries. All of it is owned by the loop; seat also by whoever holds the mutex
// of the crowd's channel.
type socket struct {
	loop   *loop
	stream *Stream
	crowd  *crowd // nil: the stream is told of news by itself
	done   func(s *Stream, sent int64, err error)
	jam    *jam  // nil while the socket takes everything
	sent   int64 // bytes
	alarm  alarm
	seat   int32 // index in the crowd
	fd     int32
	life   int32 // tells this socket from others that had its descriptor
	coding coding
	state  state
	queued bool        // among the loop's errands
	called atomic.Bool // in the loop's inbox
}

// jam is what a socket needs that was full, until it has caught up. Of one that
// was taken over just now, rest is the head of the answer.
type jam struct {
	rest     []byte        // of an event that was sent in part
	owed     int64         // what must have been sent at the deadline for it to be put off
	deadline time.Duration // on the broker's clock
}

// state is what a loop does with a socket.
type state uint8

const (
	open    state = iota
	full          // it takes nothing now: what it is sent waits until it does
	leaving       // all is sent, and the client has not hung up yet
	closed
)
