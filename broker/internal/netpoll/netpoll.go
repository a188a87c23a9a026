// Package netpoll lets one loop write to very many sockets without ever waiting for
// one. It combines an epoll set that Go's own poller waits for with writes that
// bypass Go's scheduler.
//
// It guarantees that Wait takes no thread while nothing happens. It owns no socket
// and knows nothing of what is written. It works on Linux only: elsewhere
// [Supported] is false and every call fails with [ErrUnsupported].
package netpoll

import "errors"

// Errors of the package.
var (
	// ErrUnsupported is returned on systems other than Linux.
	ErrUnsupported = errors.New("netpoll: not supported on this system")
	// ErrHungUp says that the client has closed its connection.
	ErrHungUp = errors.New("netpoll: the client hung up")
)

// Event tells that a socket takes bytes again or, if Gone, that its client has left.
type Event struct {
	FD         int32
	Generation int32 // as given to [Poll.Add]
	Gone       bool
	Input      bool // the client has sent something, which only those hear that asked for it
}
