package load_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/bench/load"
)

func TestLastID(t *testing.T) {
	for _, tt := range []struct{ name, stream, want string }{
		{"last of two", "id: 1\ndata: a\n\nid: 2\ndata: b\n\n", "2"},
		{"event not whole", "id: 1\ndata: a\n\nid: 2\ndata: b\n", "1"},
		{"no space", "id:1\ndata: a\n\n", "1"},
		{"only one space goes", "id:  1\n\n", " 1"},
		{"event without id", "id: 1\n\ndata: b\n\n", "1"},
		{"CRLF", "id: 1\r\ndata: a\r\n\r\nid: 2\r\n\r\n", "2"},
		{"CRLF, event not whole", "id: 1\r\n\r\nid: 2\r\ndata: b\r\n", "1"},
		{"CR", "id: 1\rdata: a\r\rid: 2\r\r", "2"},
		{"comment", ": id: 3\nid: 1\n\n:\n\n", "1"},
		{"other field", "idx: 3\n\nid: 1\n\nxid: 4\n\n", "1"},
		{"empty", "id: 1\n\nid\ndata: b\n\n", ""},
		{"null in it", "id: 1\n\nid: 2\x00\n\n", "1"},
		{"long line before", "data: " + strings.Repeat("x", 1000) + "\nid: 1\n\n", "1"},
		{"long id", "id: 1\n\nid: " + strings.Repeat("x", 1000) + "\n\n", "1"},
		{"none", "data: a\n\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range len(tt.stream) + 1 {
				var l load.LastID
				l.Feed([]byte(tt.stream[:i]))
				l.Feed([]byte(tt.stream[i:]))
				if string(l.ID()) != tt.want {
					t.Fatalf("split at %d: %q", i, l.ID())
				}
			}
		})
	}
}

// TestLastID_prefix reads ids that are in an event after the messages.
func TestLastID_prefix(t *testing.T) {
	const stream = "event: control\ndata:{\"next\":\"0_1\",\"up\":true}\n\nid: 7\ndata:[{\"next\":\"8\"}]\n\ndata:{\"next\":\"0_2\"}\n\ndata:{\"next\":\"0_3\"}\n"
	for i := range len(stream) + 1 {
		l := load.LastID{Prefix: []byte(`data:{"next":"`)}
		l.Feed([]byte(stream[:i]))
		l.Feed([]byte(stream[i:]))
		if string(l.ID()) != "0_2" {
			t.Fatalf("split at %d: %q", i, l.ID())
		}
	}
}

func TestLastID_Reset(t *testing.T) {
	var l load.LastID
	l.Feed([]byte("id: 1\n\nid: 2\nda"))
	l.Reset()
	l.Feed([]byte("id: 3\n"))
	l.Feed([]byte("\n"))
	if string(l.ID()) != "3" {
		t.Errorf("%q after an event of the next connection", l.ID())
	}
	l.Feed([]byte("id: 4\n"))
	l.Reset()
	l.Feed([]byte("\n"))
	if string(l.ID()) != "3" {
		t.Errorf("%q, of an event that was cut off", l.ID())
	}
}
