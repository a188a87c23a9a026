package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxHeadBytes bounds the head of an answer.
const maxHeadBytes = 16 << 10

// ErrHead is of an answer that does not begin as an HTTP/1 answer does.
var ErrHead = errors.New("load: not an HTTP answer")

// head is what the client needs of the head of an answer.
type head struct {
	status  int
	framing framing
	length  int64 // of a counted body
	closes  bool  // the server will close the connection after the body
}

// parseHead reads the head at the start of b, and returns how long it is, or 0 if b does not
// have all of it yet.
func parseHead(b []byte) (h head, n int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHeadBytes {
			return h, 0, ErrHead
		}
		return h, 0, nil
	}
	line, fields, _ := bytes.Cut(b[:end], []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return h, 0, fmt.Errorf("%w: %.40q", ErrHead, line)
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, 0, fmt.Errorf("%w: %.40q", ErrHead, line)
	}
	h.closes = line[7] == '0'
	for len(fields) > 0 {
		var field []byte
		field, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(field, []byte(":"))
		h.field(name, bytes.TrimSpace(value))
	}
	if h.status == 204 || h.status == 304 {
		h.framing, h.length = counted, 0
	}
	return h, end + 4, nil
}

// field notes what a header field says about the body.
func (h *head) field(name, value []byte) {
	switch {
	case is(name, "content-length"):
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && h.framing != chunked {
			h.framing, h.length = counted, n
		}
	case is(name, "transfer-encoding"):
		if is(value, "chunked") {
			h.framing = chunked
		}
	case is(name, "connection"):
		h.closes = is(value, "close") || h.closes && !is(value, "keep-alive")
	}
}

// is compares without regard to case.
func is(b []byte, lower string) bool { return bytes.EqualFold(b, []byte(lower)) }
