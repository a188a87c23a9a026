package floor

import (
	"bytes"
	"errors"
)

var (
	errMalformed = errors.New("floor: malformed request")
	errTooLong   = errors.New("floor: request too long")
)

// maxRequest is the longest request, head and body together, in bytes.
const maxRequest = 64 << 10

// request is a request as far as the floor has a use for it. Its slices are parts
// of what was parsed.
type request struct {
	publish bool // POST /pub/; else GET /sub/
	channel []byte
	body    []byte // of a publish, without line feeds
	resume  bool   // there was a Last-Event-ID
	lastID  int64
}

// parse reads the request that b begins with and says how many bytes it has. When
// these are not all there yet, it has read 0 of them.
func parse(b []byte) (request, int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) >= maxRequest {
			return request{}, 0, errTooLong
		}
		return request{}, 0, nil
	}
	line, rest, _ := bytes.Cut(b[:end], []byte("\r\n"))
	r, ok := parseLine(line)
	if !ok {
		return request{}, 0, errMalformed
	}
	length, ok := parseHeaders(&r, rest)
	if !ok || r.publish && length < 0 {
		return request{}, 0, errMalformed
	}
	size := end + 4 + max(length, 0)
	if size > maxRequest {
		return request{}, 0, errTooLong
	}
	if len(b) < size {
		return request{}, 0, nil
	}
	r.body = b[end+4 : size]
	if bytes.IndexByte(r.body, '\n') >= 0 {
		return request{}, 0, errMalformed
	}
	return r, size, nil
}

// parseLine reads the first line of a request, which is of HTTP/1.1.
func parseLine(line []byte) (request, bool) {
	target, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok {
		return request{}, false
	}
	path, publish := bytes.CutPrefix(target, []byte("POST /pub/"))
	if !publish {
		var subscribe bool
		if path, subscribe = bytes.CutPrefix(target, []byte("GET /sub/")); !subscribe {
			return request{}, false
		}
	}
	for _, c := range path {
		if c <= ' ' || c >= 0x7f {
			return request{}, false
		}
	}
	path, _, _ = bytes.Cut(path, []byte("?"))
	return request{publish: publish, channel: path}, len(path) > 0
}

// parseHeaders reads the header lines and returns the Content-Length, -1 when there is
// none. There must be one Host. What is not a header, or could be understood in two ways,
// is refused.
func parseHeaders(r *request, lines []byte) (length int, ok bool) {
	length, hosts := -1, 0
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || !isToken(name) || !isText(value) {
			return 0, false
		}
		switch {
		case bytes.EqualFold(name, []byte("Host")):
			hosts++
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, ok := parseNumber(value)
			if !ok || n > maxRequest || length >= 0 {
				return 0, false
			}
			length = int(n)
		case bytes.EqualFold(name, []byte("Last-Event-ID")):
			if r.lastID, r.resume = parseNumber(value); !r.resume {
				return 0, false
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return 0, false
		}
	}
	return length, hosts == 1
}

// isToken tells whether b is a name as RFC 9110, section 5.6.2 has them.
func isToken(b []byte) bool {
	for _, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

// isText tells whether b may be the value of a header: no control characters but tabs.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// parseNumber reads a decimal number of at most 18 digits with spaces around it.
func parseNumber(b []byte) (int64, bool) {
	b = bytes.Trim(b, " ")
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
