package load

import (
	"bytes"
	"errors"
)

// ErrFraming is of a body whose chunks are not as RFC 9112, section 7.1 has them.
var ErrFraming = errors.New("load: malformed chunk")

// framing is how the end of a body is known.
type framing uint8

const (
	untilClose framing = iota
	chunked
	counted
)

// bodyState is what comes next in a body.
type bodyState uint8

const (
	chunkSize    bodyState = iota // digits of a chunk's size
	chunkExt                      // the rest of that line
	chunkData                     // left bytes of data
	chunkDataEnd                  // the line end after them
	trailer                       // lines after the last chunk, up to an empty one
	finished
)

// body takes the transfer coding off a body that comes in pieces. For one goroutine.
type body struct {
	framing framing
	state   bodyState
	digits  uint8 // of the size so far; in a trailer, bytes of the line so far
	left    int64
}

// newBody returns the decoder for a body after a head h.
func newBody(h head) body {
	b := body{framing: h.framing}
	if b.framing == counted {
		if b.left = h.length; b.left <= 0 {
			b.state = finished
		}
	}
	return b
}

// done tells whether the body has ended.
func (d *body) done() bool { return d.state == finished }

// next returns the first run of data in b, which may be empty, and what of b comes after.
// Called until the rest is empty or the body is done, it gives all data.
func (d *body) next(b []byte) (data, rest []byte, err error) {
	switch d.framing {
	case untilClose:
		return b, nil, nil
	case counted:
		return d.take(b, finished)
	case chunked:
	}
	for len(b) > 0 {
		switch d.state {
		case chunkSize:
			if b, err = d.size(b); err != nil {
				return nil, nil, err
			}
		case chunkExt, chunkDataEnd:
			b = d.lineEnd(b)
		case chunkData:
			return d.take(b, chunkDataEnd)
		case trailer:
			b = d.trailerByte(b)
		case finished:
			return nil, b, nil
		}
	}
	return nil, nil, nil
}

// take returns up to left bytes of b, and goes to the state then with the last of them.
func (d *body) take(b []byte, then bodyState) (data, rest []byte, err error) {
	if int64(len(b)) < d.left {
		d.left -= int64(len(b))
		return b, nil, nil
	}
	data, rest = b[:d.left], b[d.left:]
	d.left, d.state = 0, then
	return data, rest, nil
}

// size reads digits of a chunk's size.
func (d *body) size(b []byte) ([]byte, error) {
	for i, c := range b {
		v := digits[c|0x20] // lower case; digits have the bit already
		if v == 0x80 {
			if d.digits == 0 || c != '\r' && c != '\n' && c != ';' && c != ' ' && c != '\t' {
				return nil, ErrFraming
			}
			d.state = chunkExt
			return b[i:], nil
		}
		if d.digits++; d.digits > 15 {
			return nil, ErrFraming
		}
		d.left = d.left<<4 | int64(v)
	}
	return nil, nil
}

// lineEnd reads up to a line's end.
func (d *body) lineEnd(b []byte) []byte {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil
	}
	switch {
	case d.state == chunkDataEnd:
		d.state = chunkSize
	case d.left == 0:
		d.state = trailer
	default:
		d.state = chunkData
	}
	d.digits = 0
	return b[i+1:]
}

// trailerByte reads one byte of the trailer, whose empty line ends the body.
func (d *body) trailerByte(b []byte) []byte {
	switch {
	case b[0] == '\n' && d.digits == 0:
		d.state = finished
	case b[0] == '\n':
		d.digits = 0
	case b[0] != '\r':
		d.digits = 1
	}
	return b[1:]
}
