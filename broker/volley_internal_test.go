package broker

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// shelf is a channel that holds messages of the given topics at the positions 1
// and up; a topic $run makes a run message. The event of a position is as long as
// it needs to be to say so.
func shelf(limit int, topics ...string) *channel {
	c := &channel{log: *newLog(limit, 1<<20)}
	for _, topic := range topics {
		f := frame{seq: c.log.last + 1, at: 1, mark: c.log.mark(schemas.Topic(topic)), kind: schemas.KindData}
		f.bytes = fmt.Appendf(nil, "id: k-%d\nevent: %s\ndata: ", f.seq, topic)
		f.json = len(f.bytes)
		f.bytes = fmt.Appendf(f.bytes, "{\"id\":\"k-%d\"}\n\n", f.seq)
		if topic == "$run" {
			f.kind = schemas.KindRun
		}
		c.log.append(f)
		if topic == "$run" {
			c.setRun(&run{frame: f})
		}
	}
	return c
}

// topicsOf returns the set of the topics written in text, all of them for "".
func topicsOf(text string) schemas.TopicSet {
	if text == "" {
		return schemas.TopicSet{}
	}
	return schemas.NewTopicSet(strings.Fields(text))
}

// positions returns the positions of the events in text, in either format.
func positions(text []byte) []uint64 {
	var seqs []uint64
	for _, part := range bytes.Split(text, []byte(`{"id":"k-`))[1:] {
		digits, _, _ := bytes.Cut(part, []byte(`"`))
		seq, _ := strconv.ParseUint(string(digits), 10, 64)
		seqs = append(seqs, seq)
	}
	return seqs
}

func dechunked(t *testing.T, body []byte) []byte {
	t.Helper()
	got, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body)))
	if err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	return got
}

// TestCoding_chunked: another's reader of chunks takes out what was put in.
func TestCoding_chunked(t *testing.T) {
	var body, want []byte
	for _, n := range []int{1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65535, 65536, 100_000} {
		event := bytes.Repeat([]byte{byte('a' + n%26)}, n)
		body, want = chunked.append(body, event), append(want, event...)
		if got := dechunked(t, chunked.end(bytes.Clone(body))); !bytes.Equal(got, want) {
			t.Fatalf("with an event of %d bytes: got %d bytes, want %d", n, len(got), len(want))
		}
	}
	if _, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body))); err == nil {
		t.Error("without its end it passes for whole")
	}
	if got := string(chunked.append(nil, []byte("0123456789abcdef"))); got != "10\r\n0123456789abcdef\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestCoding_untilClose(t *testing.T) {
	body := untilClose.append(nil, []byte("event: a\ndata: 1\n\n"))
	body = untilClose.end(untilClose.append(body, []byte(":\n")))
	if want := "event: a\ndata: 1\n\n:\n"; string(body) != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

func TestVolley_load(t *testing.T) {
	five := func() *channel { return shelf(9, "a", "b", "a", "c", "b") }
	tests := []struct {
		name   string
		c      *channel
		from   uint64
		topics string
		want   []uint64
		to     uint64
	}{
		{"everything", five(), 0, "", []uint64{1, 2, 3, 4, 5}, 5},
		{"the rest", five(), 3, "", []uint64{4, 5}, 5},
		{"nothing new", five(), 5, "", nil, 5},
		{"an empty log", shelf(9), 0, "", nil, 0},
		{"a topic", five(), 0, "b", []uint64{2, 5}, 5},
		{"two topics", five(), 1, "a c", []uint64{3, 4}, 5},
		{"a topic without news", five(), 3, "a", nil, 5},
		{"run messages go to everybody", shelf(9, "a", "$run", "b"), 0, "a", []uint64{1, 2}, 3},
		{"a run status that has left the ring, and was told", shelf(2, "a", "$run", "a", "a"), 2, "", []uint64{3, 4}, 4},
		{"messages that have left the ring, and were told", shelf(2, "a", "a", "a", "a"), 2, "", []uint64{3, 4}, 4},
		{"lost messages of another topic", shelf(2, "a", "b", "b", "b"), 1, "a", nil, 4},
	}
	for _, tt := range tests {
		for _, format := range []Format{SSE, NDJSON} {
			for _, coding := range []coding{untilClose, chunked} {
				t.Run(fmt.Sprint(tt.name, "/", format, "/", coding), func(t *testing.T) {
					v := volley{to: 99, last: 99, messages: 99, bytes: []byte("of the one before"), cuts: []cut{{1, 1}}}
					k := key{from: tt.from, format: format, coding: coding, topics: topicsOf(tt.topics)}
					if !v.load(tt.c, k) {
						t.Fatal("it is left to the stream")
					}
					body := v.bytes
					if coding == chunked {
						body = dechunked(t, chunked.end(bytes.Clone(body)))
					}
					last := uint64(0)
					if n := len(tt.want); n > 0 {
						last = tt.want[n-1]
					}
					if got := positions(body); !slices.Equal(got, tt.want) || v.messages != len(tt.want) || v.last != last || v.to != tt.to {
						t.Errorf("got %v, to %d, last %d, %d messages; want %v, to %d", got, v.to, v.last, v.messages, tt.want, tt.to)
					}
					if format == NDJSON && (bytes.Contains(body, []byte("event:")) || bytes.Count(body, []byte("\n")) != len(tt.want)) {
						t.Errorf("not lines: %q", body)
					}
					if format == SSE && bytes.Count(body, []byte("\n\n")) != len(tt.want) {
						t.Errorf("not events: %q", body)
					}
					if !v.equal(&k) {
						t.Error("it does not have the key that it was loaded for")
					}
				})
			}
		}
	}
}

// TestVolley_load_refuses what is more than messages in their turn: the stream has
// to tell of it.
func TestVolley_load_refuses(t *testing.T) {
	gone := shelf(9, "a", "a")
	gone.log.clear(gapExpired)
	tests := []struct {
		name   string
		c      *channel
		from   uint64
		topics string
	}{
		{"something is lost", shelf(2, "a", "a", "a", "a"), 1, ""},
		{"something of the topic is lost", shelf(2, "a", "b", "a", "a"), 1, "b"},
		{"everything is lost", gone, 1, ""},
		{"a run status that has left the ring", shelf(2, "a", "$run", "a", "a"), 1, ""},
		{"a run status that has left the ring, for a reader of topics", shelf(2, "a", "$run", "b", "b"), 1, "a"},
	}
	for _, tt := range tests {
		var v volley
		if v.load(tt.c, key{from: tt.from, topics: topicsOf(tt.topics)}) {
			t.Errorf("%s: loaded %v", tt.name, positions(v.bytes))
		}
	}
}

// TestVolley_load_bounded: a burst leaves in parts of bounded length, which
// together are everything.
func TestVolley_load_bounded(t *testing.T) {
	const messages = 20_000
	c := shelf(messages, slices.Repeat([]string{"a", "b"}, messages/2)...)
	longest := 0
	for i := range c.log.count {
		longest = max(longest, len(chunked.append(nil, c.log.at(i).bytes)))
	}
	for _, topics := range []string{"", "b"} {
		next, parts := uint64(0), 0
		var v volley
		for next < messages {
			k := key{from: next, coding: chunked, topics: topicsOf(topics)}
			if !v.load(c, k) {
				t.Fatalf("refused from %d", next)
			}
			for _, seq := range positions(v.bytes) {
				if next++; topics == "b" {
					next += next & 1 // to the next even one
				}
				if seq != next {
					t.Fatalf("topics %q: got %d, want %d", topics, seq, next)
				}
			}
			if len(v.bytes) >= maxVolley+longest {
				t.Fatalf("%d bytes at a time", len(v.bytes))
			}
			if v.to != max(v.last, k.from) && v.to != messages {
				t.Fatalf("goes to %d with %d last", v.to, v.last)
			}
			next = v.to
			parts++
		}
		if parts < 5 {
			t.Errorf("topics %q: it was no burst: %d parts", topics, parts)
		}
	}
}

// TestVolley_cutAt cuts a volley at every byte: with the rest of the message that
// is named, the client has whole chunks, and as many as are counted.
func TestVolley_cutAt(t *testing.T) {
	for _, topics := range []string{"", "b"} {
		var v volley
		if !v.load(shelf(9, "a", "b", "a", "c", "b"), key{coding: chunked, topics: topicsOf(topics)}) {
			t.Fatal("refused")
		}
		all := positions(v.bytes)
		for n := range len(v.bytes) {
			last, messages := v.cutAt(n)
			if last.end <= n {
				t.Fatalf("cut at %d: up to %d", n, last.end)
			}
			body := dechunked(t, chunked.end(bytes.Clone(v.bytes[:last.end])))
			if got := positions(body); !slices.Equal(got, all[:messages]) || got[messages-1] != last.seq {
				t.Errorf("cut at %d of topics %q: got %v; %d messages up to position %d", n, topics, got, messages, last.seq)
			}
			if messages > 1 && v.cuts[messages-2].end > n {
				t.Errorf("cut at %d: goes on beyond the end of the message", n)
			}
		}
	}
}

func TestKey_equal(t *testing.T) {
	k := key{from: 7, format: SSE, coding: chunked, topics: topicsOf("a b")}
	tests := []struct {
		name  string
		other key
		want  bool
	}{
		{"the same", key{from: 7, format: SSE, coding: chunked, topics: topicsOf("b a")}, true},
		{"another position", key{from: 8, format: SSE, coding: chunked, topics: topicsOf("a b")}, false},
		{"another format", key{from: 7, format: NDJSON, coding: chunked, topics: topicsOf("a b")}, false},
		{"another coding", key{from: 7, format: SSE, coding: untilClose, topics: topicsOf("a b")}, false},
		{"fewer topics", key{from: 7, format: SSE, coding: chunked, topics: topicsOf("a")}, false},
		{"all topics", key{from: 7, format: SSE, coding: chunked}, false},
	}
	for _, tt := range tests {
		if k.equal(&tt.other) != tt.want || tt.other.equal(&k) != tt.want {
			t.Errorf("%s: not %t", tt.name, tt.want)
		}
	}
}
