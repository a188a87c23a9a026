package load_test

import (
	"errors"
	"testing"

	"github.com/sluicehq/sluice/bench/load"
)

const ok = "HTTP/1.1 200 OK\r\n"

// TestBody_splitAnywhere decodes each body split at every place.
func TestBody_splitAnywhere(t *testing.T) {
	for _, tt := range []struct {
		name, head, body, want string
		done                   bool
	}{
		{"chunks", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n10\r\n, this is world!\r\n0\r\n\r\n", "hello, this is world!", true},
		{"open end", "transfer-encoding: CHUNKED\r\n", "5\r\nhello\r\n7\r\n wor", "hello wor", false},
		{"extension", "Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n5 \r\n more\r\n0;x\r\n\r\n", "hello more", true},
		{"trailer", "Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", "x", true},
		{"LF only", "Transfer-Encoding: chunked\r\n", "1\nx\n0\n\n", "x", true},
		{"capital digits", "Transfer-Encoding: chunked\r\n", "000A\r\n0123456789\r\n", "0123456789", false},
		{"chunked wins", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n", "x", true},
		{"chunked wins, first", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "1\r\nx\r\n0\r\n\r\n", "x", true},
		{"counted", "Content-Length: 5\r\n", "hello", "hello", true},
		{"counted, too little", "Content-Length: 9\r\n", "hello", "hello", false},
		{"until close", "", "hello\r\n", "hello\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range len(tt.body) + 1 {
				decode, done, err := load.NewBody(ok + tt.head + "\r\n")
				if err != nil {
					t.Fatal(err)
				}
				first, err1 := decode([]byte(tt.body[:i]))
				second, err2 := decode([]byte(tt.body[i:]))
				if got := string(first) + string(second); got != tt.want || done() != tt.done || err1 != nil || err2 != nil {
					t.Errorf("split at %d: got %q, done %t, %v, %v", i, got, done(), err1, err2)
				}
			}
		})
	}
}

func TestBody_malformed(t *testing.T) {
	for _, body := range []string{"x\r\n", "\r\n", ";a\r\n", "5z\r\n", "1111111111111111\r\n", "~\r\n"} {
		decode, _, err := load.NewBody(ok + "Transfer-Encoding: chunked\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode([]byte(body)); !errors.Is(err, load.ErrFraming) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestParseHead(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		status, n  int
		fails      bool
	}{
		{"whole", ok + "A: b\r\n\r\nbody", 200, len(ok) + 8, false},
		{"no fields", "HTTP/1.1 204 No Content\r\n\r\n", 204, 27, false},
		{"not yet", ok + "A: b\r\n", 0, 0, false},
		{"no HTTP", "hello, this is no answer\r\n\r\n", 0, 0, true},
		{"no status", "HTTP/1.1 abc\r\n\r\n", 0, 0, true},
		{"endless", string(make([]byte, 20<<10)), 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, n, err := load.HeadLength([]byte(tt.text))
			if status != tt.status || n != tt.n || errors.Is(err, load.ErrHead) != tt.fails {
				t.Errorf("status %d, %d bytes, %v", status, n, err)
			}
		})
	}
}
