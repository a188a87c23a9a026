package ring_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestLog_Merge_parts: messages that a rule joins are held as one, however many of them came
// from the engine and how many before that to the log itself. Whoever resumes at any of them
// gets the same as if all had come in turn.
func TestLog_Merge_parts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		var data []string
		for n := range 2 + random.IntN(12) {
			switch random.IntN(8) {
			case 0:
				data = append(data, `{"type":"c","id":"3"}`) // not a part
			case 1, 2:
				data = append(data, fmt.Sprintf(`{"type":"b","id":"2","delta":"%d "}`, n))
			default:
				data = append(data, fmt.Sprintf(`{"type":"a","id":"1","delta":"%d "}`, n))
			}
		}
		expectParts(t, stored(1, data...), 1+random.IntN(len(data)-1), random)
	}
}

// expectParts compares a log to which all messages come in turn with one to which the first
// n come from the engine.
func expectParts(t *testing.T, all []schemas.Message, n int, random *rand.Rand) {
	t.Helper()
	limits := engine.Limits{Messages: 100, Bytes: 1 << 20, Merge: chatRules(t)}
	inTurn, merged := newTexts(t, limits), newTexts(t, limits)
	for i := range all {
		inTurn.Append(&all[i])
	}
	loaded := n + random.IntN(len(all)-n+1) // when the engine has answered, newer ones have come
	merged.Cold = uint64(n)
	for i := range all[n:loaded] {
		merged.Append(&all[n+i])
	}
	if random.IntN(2) == 0 {
		merged.DropHeld(ring.NoReader) // folds the pieces
	}
	before := merged.Bytes()
	if grown := merged.Merge(all[:n], engine.Losses{}, ring.Expired); grown != merged.Bytes()-before {
		t.Errorf("grew by %d, says %d", merged.Bytes()-before, grown)
	}
	for i := range all[loaded:] {
		merged.Append(&all[loaded+i])
	}
	if merged.Len() != inTurn.Len() {
		t.Errorf("%d of %d from the engine, %d before that: %d messages are held, want %d", n, len(all), loaded-n, merged.Len(), inTurn.Len())
	}
	for from := range uint64(len(all)) {
		if got, want := partsAfter(t, merged, from), partsAfter(t, inTurn, from); fmt.Sprint(got.parts) != fmt.Sprint(want.parts) || got.last != want.last {
			t.Errorf("%d of %d from the engine, %d before that, after %d:\n got %v\nwant %v", n, len(all), loaded-n, from, got, want)
		}
	}
	merged.Clear(ring.Overrun)
	if merged.Len() != 0 || merged.Bytes() != 0 || merged.Counted() != 0 || merged.Frames() != 0 {
		t.Errorf("%d messages of %d bytes are left, and %d count", merged.Len(), merged.Bytes(), merged.Counted())
	}
}

// partsAfter returns what a page makes of what it is sent after the position.
func partsAfter(t *testing.T, x *texts, position uint64) (got answer) {
	t.Helper()
	r := ring.NewReader(schemas.NewTopicSet(nil), 0, 0)
	got.last = position
	for r.Fill(&x.Log, nil, position, ring.NoReader, 1<<20); !r.Empty(); {
		got.take(t, r.Next(ring.NoReader))
	}
	return got
}
