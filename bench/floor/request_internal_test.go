package floor

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     request
		err      error
	}{
		{name: "subscribe", in: "GET /sub/a HTTP/1.1\r\nHost: h\r\n\r\n", want: request{channel: []byte("a")}},
		{name: "query", in: "GET /sub/a?x=y HTTP/1.1\r\nHost: h\r\n\r\n", want: request{channel: []byte("a")}},
		{
			name: "resume", in: "GET /sub/a HTTP/1.1\r\nHost: h\r\nlast-event-id:  12 \r\n\r\n",
			want: request{channel: []byte("a"), resume: true, lastID: 12},
		},
		{
			name: "publish", in: "POST /pub/a:b HTTP/1.1\r\nHost: h\r\nCONTENT-length: 3\r\n\r\nxyz",
			want: request{publish: true, channel: []byte("a:b"), body: []byte("xyz")},
		},
		{
			name: "empty body", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
			want: request{publish: true, channel: []byte("a")},
		},
		{name: "no length", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\n\r\n", err: errMalformed},
		{name: "chunked", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", err: errMalformed},
		{name: "negative length", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", err: errMalformed},
		{name: "two lines", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na\nb", err: errMalformed},
		{name: "no channel", in: "GET /sub/ HTTP/1.1\r\nHost: h\r\n\r\n", err: errMalformed},
		{name: "other path", in: "GET / HTTP/1.1\r\nHost: h\r\n\r\n", err: errMalformed},
		{name: "other method", in: "PUT /pub/a HTTP/1.1\r\nHost: h\r\n\r\n", err: errMalformed},
		{name: "no colon", in: "GET /sub/a HTTP/1.1\r\nHost\r\n\r\n", err: errMalformed},
		{name: "no host", in: "GET /sub/a HTTP/1.1\r\nAccept: x\r\n\r\n", err: errMalformed},
		{name: "two hosts", in: "GET /sub/a HTTP/1.1\r\nHost: h\r\nhost: i\r\n\r\n", err: errMalformed},
		{name: "HTTP/1.0", in: "GET /sub/a HTTP/1.0\r\nHost: h\r\n\r\n", err: errMalformed},
		{name: "two spaces", in: "GET /sub/a  HTTP/1.1\r\nHost: h\r\n\r\n", err: errMalformed},
		{name: "no colon", in: "GET /sub/a HTTP/1.1\r\nHost: h\r\nAccept\r\n\r\n", err: errMalformed},
		{name: "space before colon", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nxyz", err: errMalformed},
		{name: "folded", in: "GET /sub/a HTTP/1.1\r\nHost: h\r\n x: y\r\n\r\n", err: errMalformed},
		{name: "bare CR", in: "GET /sub/a HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", err: errMalformed},
		{name: "two lengths", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nxyz", err: errMalformed},
		{name: "id no number", in: "GET /sub/a HTTP/1.1\r\nHost: h\r\nLast-Event-ID: x\r\n\r\n", err: errMalformed},
		{name: "long head", in: "GET /sub/" + strings.Repeat("a", maxRequest), err: errTooLong},
		{name: "long body", in: "POST /pub/a HTTP/1.1\r\nHost: h\r\nContent-Length: 65530\r\n\r\n", err: errTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, size, err := parse([]byte(test.in + "GET /next"))
			if !errors.Is(err, test.err) || err == nil && size != len(test.in) {
				t.Fatalf("read %d of %d bytes, %v", size, len(test.in), err)
			}
			if got.publish != test.want.publish || got.resume != test.want.resume || got.lastID != test.want.lastID ||
				string(got.channel) != string(test.want.channel) || string(got.body) != string(test.want.body) {
				t.Fatalf("got %+v, want %+v", got, test.want)
			}
			if err != nil {
				return
			}
			for cut := range len(test.in) {
				if _, size, err := parse([]byte(test.in[:cut])); size != 0 || err != nil {
					t.Fatalf("of %d bytes %d were read, %v", cut, size, err)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("GET /sub/a HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 1\r\n\r\n"))
	f.Add([]byte("POST /pub/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, size, err := parse(b)
		if size < 0 || size > len(b) || size > maxRequest || err != nil && size != 0 {
			t.Fatalf("read %d of %d bytes, %v", size, len(b), err)
		}
		if size > 0 && len(r.channel) == 0 {
			t.Fatal("a request without a channel")
		}
	})
}
