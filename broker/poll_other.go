//go:build !linux

package broker

import (
	"net"
	"time"
)

// canPoll is whether this system has what writer loops need.
const canPoll = false

type readiness struct {
	fd, life int32
	gone     bool
}

type poll struct{}

func newPoll() (*poll, error) { return nil, errNoLoops }

func (*poll) add(_, _ int32, _ time.Duration) error { return errNoLoops }
func (*poll) wait() ([]readiness, error)            { return nil, errNoLoops }
func (*poll) yield()                                {}
func (*poll) close()                                {}

func duplicate(net.Conn) (int, error) { return 0, errNoLoops }
func send(int32, []byte) (int, error) { return 0, errNoLoops }
func shutdown(int32)                  {}
func hangUp(int32) error              { return errHungUp }
func closeSocket(int, bool)           {}
