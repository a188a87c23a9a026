package load_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/bench/load"
)

// marks are some small and some large ones.
func marks() []load.Mark {
	return []load.Mark{
		{},
		{Publisher: 1, Seq: 2, Sent: 3},
		{Publisher: math.MaxUint16, Seq: math.MaxUint32, Sent: math.MaxInt64},
		{Publisher: 0x9a, Seq: 0xbcdef012, Sent: 0x123456789abcdef},
	}
}

func message(m load.Mark) string { return string(load.AppendMessage(nil, m)) }

func TestAppendMessage(t *testing.T) {
	got := message(load.Mark{Publisher: 0x12, Seq: 0xab, Sent: 0xfedcba})
	if want := `{"b":"~0012~000000ab~0000000000fedcba~xxx`; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want it to begin %s", got, want)
	}
	var parsed map[string]string
	if err := json.Unmarshal([]byte(got), &parsed); err != nil || len(got) != load.MessageBytes {
		t.Errorf("%d bytes, %v: %s", len(got), err, got)
	}
}

// TestScanner_splitAnywhere shows that marks are found wherever a stream is split in three.
func TestScanner_splitAnywhere(t *testing.T) {
	var stream string
	for _, m := range marks()[:3] {
		stream += "id: 1\r\ndata: " + message(m)[:60] + "\r\n\r\n"
	}
	for i := range len(stream) {
		for j := i; j <= len(stream); j++ {
			var s load.Scanner
			got := s.Scan([]byte(stream[:i]), nil)
			got = s.Scan([]byte(stream[i:j]), got)
			got = s.Scan([]byte(stream[j:]), got)
			if !slices.Equal(got, marks()[:3]) || s.Stray != 0 {
				t.Fatalf("split at %d and %d: got %v, %d stray", i, j, got, s.Stray)
			}
		}
	}
}

func TestScanner_byteByByte(t *testing.T) {
	var s load.Scanner
	var got []load.Mark
	for _, m := range marks() {
		for _, b := range []byte("event: t\ndata: " + message(m) + "\n\n") {
			got = s.Scan([]byte{b}, got)
		}
	}
	if !slices.Equal(got, marks()) || s.Stray != 0 {
		t.Errorf("got %v, %d stray", got, s.Stray)
	}
}

// TestScanner_stray shows that damage is counted, and that the marks around it are found,
// wherever the stream is split.
func TestScanner_stray(t *testing.T) {
	mark := message(marks()[1])[6:38]
	for _, tt := range []struct {
		name, stream string
		marks, stray int
	}{
		{"separator alone", "~" + mark, 1, 1},
		{"cut short", mark[:20] + mark, 1, 3},
		{"upper case", strings.ToUpper("~00a" + mark[4:]), 0, 1},
		{"no digit", "~000g" + mark[5:] + mark, 1, 4},
		{"separators only", strings.Repeat("~", 40) + mark, 1, 40},
		{"bytes missing", mark[:10] + mark[11:] + "zz" + mark, 1, 4},
	} {
		for i := range len(tt.stream) {
			var s load.Scanner
			got := s.Scan([]byte(tt.stream[:i]), nil)
			got = s.Scan([]byte(tt.stream[i:]), got)
			if len(got) != tt.marks || s.Stray != tt.stray {
				t.Errorf("%s, split at %d: %d marks, %d stray; want %d, %d", tt.name, i, len(got), s.Stray, tt.marks, tt.stray)
			}
		}
	}
}

// TestScanner_allocates shows that reading allocates nothing.
func TestScanner_allocates(t *testing.T) {
	var s load.Scanner
	stream := []byte(strings.Repeat("data: "+message(marks()[1])+"\n\n", 10))
	found := make([]load.Mark, 0, 20)
	if n := testing.AllocsPerRun(100, func() { found = s.Scan(stream, found[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkScanner is the cost of an event that comes with many others.
func BenchmarkScanner(b *testing.B) {
	const events = 500
	stream := []byte(strings.Repeat("id: k3f9-1027\nevent: t\ndata: "+message(marks()[3])+"\n\n", events))
	found := make([]load.Mark, 0, 2*events)
	var s load.Scanner
	for b.Loop() {
		found = s.Scan(stream, found[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
