package disk_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// What is appended once the entry before has its place gets a later position, although the
// call for that one still runs.
func TestEngine_Append_placed(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	const count = 200
	receipts := make([]schemas.Receipt, count)
	var all sync.WaitGroup
	for i := range count {
		placed := make(chan struct{})
		entry := engine.Entry{
			Message: schemas.Message{Channel: "c", Topic: "t", Kind: schemas.KindData, Data: []byte("1")},
			Limits:  engine.Limits{Messages: 1000, Bytes: 1 << 20}, MaxEventBytes: 1000,
			Placed: func() { close(placed) },
		}
		if i%2 > 0 {
			entry.Key = fmt.Sprint("k", i)
		}
		all.Go(func() {
			r, err := n.Append(t.Context(), entry)
			if err != nil {
				t.Error(err)
			}
			receipts[i] = r
		})
		<-placed
	}
	all.Wait()
	for i := 1; i < count; i++ {
		if receipts[i].ID.Seq <= receipts[i-1].ID.Seq {
			t.Fatalf("entry %d has position %d, after %d", i, receipts[i].ID.Seq, receipts[i-1].ID.Seq)
		}
	}
}
