package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// TestShardIndex_neverChanges: messages are stored where this function says, so a change
// would lose them. The numbers were computed independently of the code.
func TestShardIndex_neverChanges(t *testing.T) {
	for _, tt := range []struct {
		name schemas.Channel
		want [3]int // of 2, 3 and 64 shards
	}{
		{"a", [3]int{1, 2, 27}},
		{"b", [3]int{0, 1, 16}},
		{"pipeline:run_42", [3]int{1, 1, 57}},
		{"pipeline:run_43", [3]int{0, 2, 24}},
		{"user:7/inbox", [3]int{1, 0, 21}},
		{"käse:☃", [3]int{0, 2, 30}},
		{schemas.Channel(strings.Repeat("x", schemas.MaxChannelBytes)), [3]int{0, 0, 34}},
	} {
		got := [3]int{shardIndex(tt.name, 2), shardIndex(tt.name, 3), shardIndex(tt.name, 64)}
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestShardIndex_spreads: names that differ only in their last digits are spread evenly.
func TestShardIndex_spreads(t *testing.T) {
	for _, format := range []string{"run:%d", "%d", "user_%08d:inbox", "pipeline:run_%x"} {
		for _, n := range []int{2, 3, 8, 64} {
			const each = 1000
			counts := make([]int, n)
			for i := range each * n {
				counts[shardIndex(schemas.Channel(fmt.Sprintf(format, i)), n)]++
			}
			for shard, count := range counts {
				if count < each*8/10 || count > each*12/10 { // six standard deviations
					t.Errorf("%s: shard %d of %d has %d of %d", format, shard, n, count, each*n)
				}
			}
		}
	}
}

func TestShardIndex_allocatesNothing(t *testing.T) {
	sum := 0
	if n := testing.AllocsPerRun(100, func() { sum += shardIndex("pipeline:run_42", 3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestShareOf(t *testing.T) {
	for _, tt := range []struct{ memory, channels, loops, wantChannels, wantLoops int }{
		{300, 7, -1, 3, -1},
		{300, 6, 1, 2, 1},
		{300, 1, 7, 1, 3},
	} {
		got := shareOf(Options{Memory: int64(tt.memory), MaxChannels: tt.channels, Loops: tt.loops, BacklogBytes: 5}, 3)
		if got.Memory != 100 || got.MaxChannels != tt.wantChannels || got.Loops != tt.wantLoops || got.BacklogBytes != 5 {
			t.Errorf("a third of %+v: %+v", tt, got)
		}
	}
	if got := shareOf(Options{}, 64); got.Loops < 1 {
		t.Errorf("%d loops where there is to be one a core", got.Loops)
	}
}
