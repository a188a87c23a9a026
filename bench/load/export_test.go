package load

import (
	"errors"
	"time"
)

// NewBody returns a decoder of bodies for tests: all gives the data in pieces of the body.
func NewBody(head string) (all func(piece []byte) ([]byte, error), done func() bool, err error) {
	h, n, err := parseHead([]byte(head))
	if err != nil || n != len(head) {
		return nil, nil, errors.Join(err, errors.New("the head is not whole"))
	}
	b := newBody(h)
	return func(piece []byte) (data []byte, err error) {
		for len(piece) > 0 && !b.done() {
			var run []byte
			if run, piece, err = b.next(piece); err != nil {
				return data, err
			}
			data = append(data, run...)
		}
		if len(piece) > 0 {
			return data, errors.New("the body ends before its end")
		}
		return data, nil
	}, b.done, nil
}

// HeadLength returns how long the head at the start of b is.
func HeadLength(b []byte) (status, n int, err error) {
	h, n, err := parseHead(b)
	return h.status, n, err
}

// Checker checks the messages of readers as a client does.
type Checker struct{ s *sequences }

// NewChecker makes one.
func NewChecker(readers, publishers int) Checker {
	s := newSequences(publishers)
	s.grow(readers)
	return Checker{s}
}

// Take notes that a reader got a message.
func (c Checker) Take(reader int, m Mark) { c.s.take(reader, m) }

// Check returns what was found.
func (c Checker) Check() Check { return c.s.check }

// OldClock is a clock that was started some time ago.
func OldClock(age time.Duration) Clock { return Clock{time.Now().Add(-age)} }
