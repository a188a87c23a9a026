package front

import (
	"bytes"
	"net"
	"strconv"
	"strings"
)

// Request is a request that the front understands in full: one POST with a body of known
// length, or one GET without a body, of which no header could change the meaning. It is
// valid until it is answered. What is nil was not sent.
type Request struct {
	Conn   net.Conn // over which it came, and over which nothing has come after a GET
	Remote string   // address of the client, host:port

	Get            bool   // it is a GET
	Path           []byte // as it was sent, with its escapes; begins with a slash
	Query          []byte // of a GET, as it was sent
	Host           []byte
	Authorization  []byte
	ContentType    []byte
	IdempotencyKey []byte
	RequestID      []byte
	Traceparent    []byte
	Tracestate     []byte
	Accept         []byte
	LastEventID    []byte
	Origin         []byte
	ForwardedFor   []byte // X-Forwarded-For
	Body           []byte // of a POST; never empty
}

// verdict says what the bytes of a connection begin with.
type verdict int

const (
	simple     verdict = iota // a whole [Request]
	incomplete                // what may become one
	other                     // anything else
)

// maxLengthDigits bounds a Content-Length, so that it cannot overflow.
const maxLengthDigits = 7

// parse reads the request that b begins with into r, and returns its length in bytes. It
// accepts a part of what RFC 9112 allows, and nothing that it does not allow.
func parse(b []byte, r *Request) (n int, v verdict) {
	method := "POST /"
	get := len(b) > 0 && b[0] == 'G'
	if get {
		method = "GET /"
	}
	if !bytes.HasPrefix(b, []byte(method[:min(len(b), len(method))])) {
		return 0, other
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, incomplete
	}
	*r = Request{Conn: r.Conn, Remote: r.Remote, Get: get}
	line, fields, _ := bytes.Cut(b[:end+2], []byte("\r\n"))
	target, ok := bytes.CutSuffix(line[len(method)-1:], []byte(" HTTP/1.1"))
	path, query, asks := bytes.Cut(target, []byte("?"))
	if !ok || !consists(path, pathMarks) || asks && (!get || !consists(query, queryMarks)) {
		return 0, other
	}
	r.Path, r.Query = path, query
	length, ok := r.readFields(fields)
	if !ok {
		return 0, other
	}
	body := end + len("\r\n\r\n")
	switch n = body + length; {
	case len(b) < n:
		return n, incomplete
	case get && n < len(b):
		return 0, other // whoever takes the connection would lose what follows
	}
	r.Body = b[body:n]
	return n, simple
}

// readFields reads the header, of which each line ends with CR LF. It returns the length of
// the body, and false if it does not know a field, or a field occurs twice or is not
// plain.
func (r *Request) readFields(fields []byte) (length int, ok bool) {
	var connection, lengthField, ignored []byte
	var folded [maxName]byte
	for len(fields) > 0 {
		var field []byte
		field, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, found := bytes.Cut(field, []byte(":"))
		value = bytes.Trim(value, " \t")
		if !found || len(value) == 0 || !isText(value) {
			return 0, false
		}
		var place *[]byte
		switch string(appendLower(folded[:0], name)) {
		case "host":
			place = &r.Host
		case "authorization":
			place = &r.Authorization
		case "content-type":
			place = &r.ContentType
		case "content-length":
			place = &lengthField
		case "connection":
			place = &connection
		case "idempotency-key":
			place = &r.IdempotencyKey
		case "traceparent":
			place = &r.Traceparent
		case "tracestate":
			place = &r.Tracestate
		case "x-request-id":
			place = &r.RequestID
		case "accept":
			place = &r.Accept
		case "last-event-id":
			place = &r.LastEventID
		case "origin":
			place = &r.Origin
		case "x-forwarded-for":
			place = &r.ForwardedFor
		case "accept-encoding", "accept-language", "user-agent", "cache-control", "pragma", "referer",
			"sec-fetch-mode", "sec-fetch-site", "sec-fetch-dest", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
			"x-forwarded-proto", "x-forwarded-host", "x-real-ip":
			place, ignored = &ignored, nil // they mean nothing here, however often they occur
		default:
			return 0, false
		}
		if *place != nil {
			return 0, false
		}
		*place = value
	}
	if connection != nil && !bytes.EqualFold(connection, []byte("keep-alive")) || !consists(r.Host, hostMarks) {
		return 0, false
	}
	if r.Get {
		return 0, lengthField == nil
	}
	return number(lengthField)
}

// number returns the value of a Content-Length that is not 0.
func number(digits []byte) (n int, ok bool) {
	if len(digits) == 0 || len(digits) > maxLengthDigits || digits[0] < '1' || digits[0] > '9' {
		return 0, false // Atoi would accept a sign
	}
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}

// maxName is the length of the longest name of a field that is known.
const maxName = len("sec-ch-ua-platform")

// appendLower appends the name of a field in lower case to b, and nothing if it is longer
// than all that are known.
func appendLower(b, name []byte) []byte {
	if len(name) > maxName {
		return b
	}
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// Characters that a path, a query and a host may have besides letters and digits. Those of
// a path are unreserved (RFC 3986, section 2.3), or colons, or part of an escape.
const (
	pathMarks  = "/:-._~%"
	queryMarks = pathMarks + "=&+*,$"
	hostMarks  = ".-:[]"
)

// consists reports whether text has letters, digits and marks, and nothing else. After a
// percent sign there must be two hexadecimal digits.
func consists(text []byte, marks string) bool {
	for i, c := range text {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case strings.IndexByte(marks, c) < 0, c == '%' && (i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2])):
			return false
		}
	}
	return len(text) > 0
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// isText reports whether a value consists of printable ASCII, blanks and tabs.
func isText(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}
