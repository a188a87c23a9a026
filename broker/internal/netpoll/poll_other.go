//go:build !linux

package netpoll

import (
	"net"
	"time"
)

// Supported reports whether this system has what the package needs.
const Supported = false

// Poll cannot be made on this system.
type Poll struct{}

// New returns [ErrUnsupported].
func New() (*Poll, error) { return nil, ErrUnsupported }

// Add returns [ErrUnsupported].
func (*Poll) Add(_, _ int32, _ time.Duration, _ bool) error { return ErrUnsupported }

// Wait returns [ErrUnsupported].
func (*Poll) Wait() ([]Event, error) { return nil, ErrUnsupported }

// Yield does nothing.
func (*Poll) Yield() {}

// Close does nothing.
func (*Poll) Close() {}

// Duplicate returns [ErrUnsupported].
func Duplicate(net.Conn) (int, error) { return 0, ErrUnsupported }

// Lowest returns fd.
func Lowest(fd int) int { return fd }

// Write returns [ErrUnsupported].
func Write(int32, []byte) (int, error) { return 0, ErrUnsupported }

// Peek returns nothing.
func Peek(int32, []byte) int { return 0 }

// Shutdown does nothing.
func Shutdown(int32) {}

// HangUpCause returns [ErrHungUp].
func HangUpCause(int32) error { return ErrHungUp }

// Close does nothing.
func Close(int, bool) {}
