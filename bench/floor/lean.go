package floor

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
)

// lean takes publishes and nothing else.
type lean struct {
	mu       sync.Mutex
	channels map[string]*history // guarded by mu, as are the histories
}

// ServeLean takes publishes on addr until the process ends, a goroutine a connection: a
// request is read, parsed and appended to its channel's log, and answered. That is the
// least that a publish costs a program in Go that gives each connection a goroutine. It
// has no readers, and ends the connection of whoever asks for anything else.
func ServeLean(addr string) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", addr)
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	l := &lean{channels: map[string]*history{}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		go l.serve(conn) // ends with the connection
	}
}

// serve answers the requests of a connection.
func (l *lean) serve(conn net.Conn) {
	defer conn.Close()
	in, out := make([]byte, 0, 4096), []byte(nil)
	for {
		in = slices.Grow(in, 1)
		n, err := conn.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		rest := in[:len(in)+n]
		out = out[:0]
		for err == nil && len(rest) > 0 {
			var size int
			if size, err = l.publish(rest); size == 0 {
				break
			}
			rest, out = rest[size:], append(out, published...)
		}
		if err != nil {
			_, _ = conn.Write(append(out, refused...))
			return
		}
		in = in[:copy(in[:cap(in)], rest)]
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}
}

// publish appends what the request that b begins with publishes, and returns how long the
// request is: 0 if it is not all there.
func (l *lean) publish(b []byte) (size int, err error) {
	r, size, err := parse(b)
	if err != nil || size == 0 {
		return 0, err
	}
	if !r.publish {
		return 0, errMalformed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.channels[string(r.channel)]
	if h == nil {
		h = &history{}
		l.channels[string(r.channel)] = h
	}
	h.append(r.body)
	h.trim(h.end())
	return size, nil
}
