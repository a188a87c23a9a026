package front

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// plainPost and plainGet are requests that the front answers.
const (
	plainPost = "POST /v1/publish/a%3Ab/t HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 2\r\nAuthorization: Bearer k\r\n\r\n{}"
	plainGet  = "GET /v1/subscribe?channel=a%3Ab&topic=t HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer k\r\nAccept: text/event-stream\r\n\r\n"
)

func TestParse(t *testing.T) {
	with := func(field string) string { return strings.Replace(plainPost, "Host:", field+"\r\nHost:", 1) }
	tests := []struct {
		name  string
		input string
		want  verdict
	}{
		{"plain", plainPost, simple},
		{"then another", plainPost + plainPost, simple},
		{"every known field", with("Connection: Keep-Alive\r\nX-Request-ID: r1\r\nIdempotency-Key: k\r\nTraceparent: 00-0-0-00\r\nContent-Type: application/json"), simple},
		{"ignored twice", with("Accept-Language: en\r\naccept-language: de"), simple},
		{"page", with("Origin: http://localhost"), simple},
		{"proxy", with("X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Forwarded-Proto: https"), simple},
		{"GET", plainGet, simple},
		{"GET without a query", strings.Replace(plainGet, "?channel=a%3Ab&topic=t", "", 1), simple},
		{"GET with every known field", strings.Replace(plainGet, "Host:", "Last-Event-ID: a-1\r\nOrigin: http://h\r\nCache-Control: no-cache\r\nSec-CH-UA-Platform: x\r\nHost:", 1), simple},
		{"blanks around a value", with("User-Agent: \t a b \t"), simple},

		{"nothing", "", incomplete},
		{"method", "POS", incomplete},
		{"head", plainPost[:60], incomplete},
		{"body", plainPost[:len(plainPost)-1], incomplete},

		{"head of a GET", plainGet[:60], incomplete},
		{"G", "G", incomplete},

		{"GET, then another", plainGet + plainGet, other},
		{"GET, then a byte", plainGet + "x", other},
		{"GET with a length", strings.Replace(plainGet, "Host:", "Content-Length: 2\r\nHost:", 1) + "{}", other},
		{"GET without a body", strings.Replace(plainGet, "Host:", "Content-Length: 0\r\nHost:", 1), other},
		{"GET with chunks", strings.Replace(plainGet, "Host:", "Transfer-Encoding: chunked\r\nHost:", 1), other},
		{"GET without a host", strings.Replace(plainGet, "Host: localhost:8080\r\n", "", 1), other},
		{"GET with two ids", strings.Replace(plainGet, "Host:", "Last-Event-ID: a-1\r\nLast-Event-ID: a-2\r\nHost:", 1), other},
		{"GET with an empty query", strings.Replace(plainGet, "channel=a%3Ab&topic=t", "", 1), other},
		{"GET with a semicolon", strings.Replace(plainGet, "&", ";", 1), other},
		{"GET with a fragment", strings.Replace(plainGet, "&", "#", 1), other},
		{"GET with a blank in the query", strings.Replace(plainGet, "&", " &", 1), other},
		{"GET with two question marks", strings.Replace(plainGet, "&", "?", 1), other},
		{"GETS", strings.Replace(plainGet, "GET", "GETS", 1), other},
		{"HEAD", strings.Replace(plainGet, "GET", "HEAD", 1), other},
		{"first byte", "H", other},
		{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", other},
		{"TLS", "\x16\x03\x01", other},
		{"line feed first", "\n" + plainPost, other},
		{"lower case", strings.Replace(plainPost, "POST", "post", 1), other},
		{"HTTP/1.0", strings.Replace(plainPost, "HTTP/1.1", "HTTP/1.0", 1), other},
		{"two blanks", strings.Replace(plainPost, " HTTP", "  HTTP", 1), other},
		{"tab", strings.Replace(plainPost, " HTTP", "\tHTTP", 1), other},
		{"query", strings.Replace(plainPost, "/t ", "/t?run_id=r ", 1), other},
		{"absolute", strings.Replace(plainPost, "/v1", "http://h/v1", 1), other},
		{"fragment", strings.Replace(plainPost, "/t ", "/t#f ", 1), other},
		{"not ASCII in the path", strings.Replace(plainPost, "/t ", "/ü ", 1), other},
		{"half an escape", strings.Replace(plainPost, "/t ", "/t% ", 1), other},
		{"no escape", strings.Replace(plainPost, "/t ", "/t%4g ", 1), other},
		{"no host", strings.Replace(plainPost, "Host: localhost:8080\r\n", "", 1), other},
		{"two hosts", with("Host: other"), other},
		{"strange host", strings.Replace(plainPost, "localhost", "a@b", 1), other},
		{"no length", strings.Replace(plainPost, "Content-Length: 2\r\n", "", 1), other},
		{"two lengths", with("Content-Length: 2"), other},
		{"list of lengths", strings.Replace(plainPost, "Length: 2", "Length: 2, 2", 1), other},
		{"signed length", strings.Replace(plainPost, "Length: 2", "Length: +2", 1), other},
		{"octal length", strings.Replace(plainPost, "Length: 2", "Length: 02", 1), other},
		{"hexadecimal length", strings.Replace(plainPost, "Length: 2", "Length: 0x2", 1), other},
		{"no body", strings.Replace(plainPost, "Length: 2", "Length: 0", 1), other},
		{"overflow", strings.Replace(plainPost, "Length: 2", "Length: 18446744073709551618", 1), other},
		{"transfer coding", with("Transfer-Encoding: chunked"), other},
		{"identity", with("Transfer-Encoding: identity"), other},
		{"expectation", with("Expect: 100-continue"), other},
		{"upgrade", with("Connection: upgrade"), other},
		{"close", with("Connection: close"), other},
		{"field to be dropped", with("Connection: keep-alive, authorization"), other},
		{"trailer", with("Trailer: x"), other},
		{"cookie", with("Cookie: a=b"), other},
		{"two pages", with("Origin: http://localhost\r\nOrigin: http://other"), other},
		{"two proxies", with("X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2"), other},
		{"accepts twice", with("Accept: */*\r\nAccept: text/html"), other},
		{"two credentials", with("Authorization: Bearer other"), other},
		{"two keys", with("Idempotency-Key: a\r\nIdempotency-Key: b"), other},
		{"empty value", with("Content-Type:"), other},
		{"blank before the colon", with("Accept : a"), other},
		{"folded", with("Accept: a\r\n b"), other},
		{"no colon", with("Accept"), other},
		{"no name", with(": a"), other},
		{"bare line feed", with("Accept: a\nAuthorization: Bearer x"), other},
		{"bare carriage return", with("Accept: a\rAuthorization: Bearer x"), other},
		{"NUL", with("Accept: a\x00"), other},
		{"DEL", with("Accept: a\x7f"), other},
		{"not ASCII", with("Accept: ü"), other},
		{"underscore for a dash", with("Content_Length: 3"), other},
		{"long name", with(strings.Repeat("a", 100) + ": b"), other},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			if _, v := parse([]byte(tt.input), &r); v != tt.want {
				t.Errorf("got %d, want %d", v, tt.want)
			}
			checkParse(t, []byte(tt.input))
		})
	}
}

// FuzzParse holds the parser to net/http: whatever it understands means the same there, byte
// for byte.
func FuzzParse(f *testing.F) {
	f.Add([]byte(plainPost))
	f.Add([]byte(plainPost + "x"))
	f.Add([]byte(plainGet))
	f.Add([]byte(strings.Replace(plainGet, "Host:", "Content-Length: 2\r\nHost:", 1)))
	for _, field := range []string{"Transfer-Encoding: chunked", "Content-Length: 1", "Host: b", "Connection: close", "Accept: a\r\n b", "X: a\nb"} {
		f.Add([]byte(strings.Replace(plainPost, "Host:", field+"\r\nHost:", 1)))
	}
	f.Fuzz(checkParse)
}

func checkParse(t *testing.T, input []byte) {
	var r Request
	n, v := parse(input, &r)
	if v != simple {
		return
	}
	in := bufio.NewReader(bytes.NewReader(input))
	h, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("net/http refuses it: %v", err)
	}
	body, err := io.ReadAll(h.Body)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	method := http.MethodPost
	if r.Get {
		method = http.MethodGet
	}
	if h.Method != method || h.ProtoMajor != 1 || h.ProtoMinor != 1 || h.Close || len(h.TransferEncoding)+len(h.Trailer) > 0 {
		t.Errorf("net/http sees %+v", h)
	}
	if !bytes.Equal(body, r.Body) || !bytes.Equal(rest, input[n:]) {
		t.Errorf("body %q then %q, net/http has %q then %q", r.Body, input[n:], body, rest)
	}
	target := string(r.Path)
	if len(r.Query) > 0 {
		target += "?" + string(r.Query)
	}
	if h.RequestURI != target || h.URL.EscapedPath() != string(r.Path) || h.URL.RawQuery != string(r.Query) || h.Host != string(r.Host) {
		t.Errorf("path %q, host %q, net/http has %q, %q", r.Path, r.Host, h.RequestURI, h.Host)
	}
	for name, got := range map[string][]byte{
		"Authorization": r.Authorization, "Content-Type": r.ContentType, "Idempotency-Key": r.IdempotencyKey,
		"Traceparent": r.Traceparent, "X-Request-Id": r.RequestID, "Accept": r.Accept, "Last-Event-Id": r.LastEventID,
		"Origin": r.Origin, "X-Forwarded-For": r.ForwardedFor,
	} {
		if values := h.Header[name]; len(values) > 1 || strings.Join(values, "") != string(got) {
			t.Errorf("%s %q, net/http has %q", name, got, values)
		}
	}
}

func TestParse_allocations(t *testing.T) {
	var r Request
	for _, input := range []string{plainPost, plainGet} {
		if n := testing.AllocsPerRun(100, func() { parse([]byte(input), &r) }); n > 1 { // the conversion
			t.Errorf("%v allocations", n)
		}
	}
}
