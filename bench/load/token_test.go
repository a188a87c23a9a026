package load_test

import (
	"slices"
	"testing"

	"github.com/sluicehq/sluice/bench/load"
)

// TestTokenScanner_Scan finds tokens however the stream is split.
func TestTokenScanner_Scan(t *testing.T) {
	stream := []byte("id: k-1\nevent: t\ndata: {\"data\":\"")
	var want []uint32
	for _, n := range []uint32{0, 1, 2, 0xabcdef} {
		stream = load.AppendToken(stream, n)
		want = append(want, n)
	}
	stream = append(stream, "\",\"offset\":8}\n\ndata: \""...)
	stream = append(load.AppendToken(stream, 4), "\"\n\n"...)
	want = append(want, 4)
	for step := 1; step <= len(stream); step++ {
		var s load.TokenScanner
		var got []uint32
		for piece := range slices.Chunk(stream, step) {
			got = s.Scan(piece, got)
		}
		if !slices.Equal(got, want) || s.Stray != 0 {
			t.Errorf("in pieces of %d bytes: %x, %d stray", step, got, s.Stray)
		}
	}
	var s load.TokenScanner
	if got := s.Scan([]byte("~00000x0~0000007"), nil); !slices.Equal(got, []uint32{7}) || s.Stray != 1 {
		t.Errorf("damaged: %x, %d stray", got, s.Stray)
	}
}

// TestAppendWord shows that words are as long as tokens, and differ.
func TestAppendWord(t *testing.T) {
	seen := map[string]bool{}
	for n := range uint32(10_000) {
		word := string(load.AppendWord(nil, n))
		if len(word) != load.TokenBytes || seen[word] {
			t.Fatalf("word %d is %q", n, word)
		}
		seen[word] = true
	}
}
