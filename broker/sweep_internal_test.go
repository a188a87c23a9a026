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

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// shelf is a channel that keeps so many of the messages to the given topics.
func shelf(limit int, topics ...string) *channel {
	c := &channel{log: newLog(limit)}
	c.fill(topics...)
	return c
}

// topicsOf returns the set of the topics written in text, all of them for "".
func topicsOf(text string) schemas.TopicSet {
	if text == "" {
		return schemas.TopicSet{}
	}
	return schemas.NewTopicSet(strings.Fields(text))
}

// seqs returns the positions of the events in text, in either format.
func seqs(text []byte) []uint64 {
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

// TestCoding_chunked: net/http decodes the chunks to what was written.
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
		t.Error("without its end it counts as whole")
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

func TestWriteBatch_build(t *testing.T) {
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
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			for _, coding := range []coding{untilClose, chunked} {
				t.Run(fmt.Sprint(tt.name, "/", format, "/", coding), func(t *testing.T) {
					v := writeBatch{to: 99, last: 99, messages: 99, bytes: []byte("of the one before"), cuts: []cut{{1, 1}}}
					k := batchKey{from: tt.from, format: format, coding: coding, topics: topicsOf(tt.topics)}
					if !v.build(tt.c, k) {
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
					if got := seqs(body); !slices.Equal(got, tt.want) || v.messages != len(tt.want) || v.last != last || v.to != tt.to {
						t.Errorf("got %v, to %d, last %d, %d messages; want %v, to %d", got, v.to, v.last, v.messages, tt.want, tt.to)
					}
					if format == ring.NDJSON && (bytes.Contains(body, []byte("event:")) || bytes.Count(body, []byte("\n")) != len(tt.want)) {
						t.Errorf("not lines: %q", body)
					}
					if format == ring.SSE && bytes.Count(body, []byte("\n\n")) != len(tt.want) {
						t.Errorf("not events: %q", body)
					}
					if !v.equal(&k) {
						t.Error("it does not have the key that it was built for")
					}
				})
			}
		}
	}
}

// TestWriteBatch_build_refuses: no batch is built if the stream must be sent something
// else first.
func TestWriteBatch_build_refuses(t *testing.T) {
	gone := shelf(9, "a", "a")
	gone.log.Clear(ring.Expired)
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
		var v writeBatch
		if v.build(tt.c, batchKey{from: tt.from, topics: topicsOf(tt.topics)}) {
			t.Errorf("%s: loaded %v", tt.name, seqs(v.bytes))
		}
	}
}

// TestWriteBatch_build_bounded: a burst is sent completely, in batches of bounded length.
func TestWriteBatch_build_bounded(t *testing.T) {
	const messages = 20_000
	c := shelf(messages, slices.Repeat([]string{"a", "b"}, messages/2)...)
	longest := 0
	for i := range c.log.Len() {
		longest = max(longest, len(chunked.append(nil, c.log.At(i).In(ring.SSE))))
	}
	for _, topics := range []string{"", "b"} {
		next, parts := uint64(0), 0
		var v writeBatch
		for next < messages {
			k := batchKey{from: next, coding: chunked, topics: topicsOf(topics)}
			if !v.build(c, k) {
				t.Fatalf("refused from %d", next)
			}
			for _, seq := range seqs(v.bytes) {
				if next++; topics == "b" {
					next += next & 1 // to the next even one
				}
				if seq != next {
					t.Fatalf("topics %q: got %d, want %d", topics, seq, next)
				}
			}
			if len(v.bytes) >= maxWriteBatch+longest {
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

// TestWriteBatch_cutAt cuts a batch at every byte. With the rest of the message that
// cutAt returns, the client has whole chunks, and as many as it counts.
func TestWriteBatch_cutAt(t *testing.T) {
	for _, topics := range []string{"", "b"} {
		var v writeBatch
		if !v.build(shelf(9, "a", "b", "a", "c", "b"), batchKey{coding: chunked, topics: topicsOf(topics)}) {
			t.Fatal("refused")
		}
		all := seqs(v.bytes)
		for n := range len(v.bytes) {
			last, messages := v.cutAt(n)
			if last.end <= n {
				t.Fatalf("cut at %d: up to %d", n, last.end)
			}
			body := dechunked(t, chunked.end(bytes.Clone(v.bytes[:last.end])))
			if got := seqs(body); !slices.Equal(got, all[:messages]) || got[messages-1] != last.seq {
				t.Errorf("cut at %d of topics %q: got %v; %d messages up to position %d", n, topics, got, messages, last.seq)
			}
			if messages > 1 && v.cuts[messages-2].end > n {
				t.Errorf("cut at %d: goes on beyond the end of the message", n)
			}
		}
	}
}

func TestBatchKey_equal(t *testing.T) {
	k := batchKey{from: 7, format: ring.SSE, coding: chunked, topics: topicsOf("a b")}
	tests := []struct {
		name  string
		other batchKey
		want  bool
	}{
		{"the same", batchKey{from: 7, format: ring.SSE, coding: chunked, topics: topicsOf("b a")}, true},
		{"another position", batchKey{from: 8, format: ring.SSE, coding: chunked, topics: topicsOf("a b")}, false},
		{"another format", batchKey{from: 7, format: ring.NDJSON, coding: chunked, topics: topicsOf("a b")}, false},
		{"another coding", batchKey{from: 7, format: ring.SSE, coding: untilClose, topics: topicsOf("a b")}, false},
		{"fewer topics", batchKey{from: 7, format: ring.SSE, coding: chunked, topics: topicsOf("a")}, false},
		{"all topics", batchKey{from: 7, format: ring.SSE, coding: chunked}, false},
	}
	for _, tt := range tests {
		if k.equal(&tt.other) != tt.want || tt.other.equal(&k) != tt.want {
			t.Errorf("%s: not %t", tt.name, tt.want)
		}
	}
}
