package disk_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// BenchmarkEngine_Append compares publishes with writing the same bytes to a bare database
// in the same run: "of-bare" is the engine's rate divided by that of the database.
func BenchmarkEngine_Append(b *testing.B) {
	for _, durable := range []bool{false, true} {
		for _, publishers := range []int{1, 32, 256} {
			name := fmt.Sprintf("ordinary/%d", publishers)
			if durable {
				name = fmt.Sprintf("durable/%d", publishers)
			}
			b.Run(name, func(b *testing.B) { compare(b, publishers, durable) })
		}
	}
}

func compare(b *testing.B, publishers int, durable bool) {
	data := `{"message":"` + strings.Repeat("x", 200) + `"}`
	var bare, engine time.Duration
	n := open(b, b.TempDir(), disk.Options{})
	n.discards = true
	db, err := disk.OpenBare(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	sync := pebble.NoSync
	if durable {
		sync = pebble.Sync
	}
	var keys atomic.Uint64
	b.ReportAllocs()
	b.ResetTimer()
	engine = spread(publishers, b.N, func(worker int) error {
		e := entry(fmt.Sprint("channel:", worker), "t", data)
		if durable {
			e.Key = fmt.Sprint(keys.Add(1))
		}
		_, err := n.Append(b.Context(), e)
		return err
	})
	b.StopTimer()
	bare = spread(publishers, b.N, func(worker int) error {
		batch := db.NewBatch()
		key := binary.BigEndian.AppendUint64(fmt.Appendf(nil, "mchannel:%d\x00", worker), keys.Add(1))
		if err := batch.Set(key, []byte(data), nil); err != nil {
			return err
		}
		return firstOf(db.Apply(batch, sync), batch.Close())
	})
	b.ReportMetric(float64(b.N)/engine.Seconds(), "publishes/s")
	b.ReportMetric(float64(b.N)/bare.Seconds(), "bare/s")
	b.ReportMetric(bare.Seconds()/engine.Seconds(), "of-bare")
	if c := n.Stats().Commits; c > 0 {
		b.ReportMetric(float64(b.N)/float64(c), "publishes/group")
	}
}

// spread runs do n times, spread over the given number of goroutines.
func spread(workers, n int, do func(worker int) error) time.Duration {
	var all sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	began := time.Now()
	for i := range workers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(i); err != nil {
					panic(err)
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkEngine_Load measures loading a channel with 256 messages, as for a reader that
// resumes when the channel is not in memory.
func BenchmarkEngine_Load(b *testing.B) {
	n := open(b, b.TempDir(), disk.Options{})
	data := `{"message":"` + strings.Repeat("x", 200) + `"}`
	const channels = 100
	for i := range channels * 256 {
		e := entry(fmt.Sprint("channel:", i%channels), "t", data)
		e.Limits.Messages = 256
		n.append(e)
	}
	if err := n.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		kept, err := n.Load(b.Context(), schemas.Channel(fmt.Sprint("channel:", i%channels)))
		if err != nil || len(kept.Messages) != 256 {
			b.Fatal(len(kept.Messages), err)
		}
	}
}

// BenchmarkOpen opens a directory with ten thousand channels of a hundred messages each,
// after a clean end and after a kill.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	opts := thisBoot()
	n := open(b, dir, opts)
	n.discards = true
	data := `{"message":"` + strings.Repeat("x", 100) + `"}`
	var next atomic.Int64
	spread(64, 1_000_000, func(int) error {
		_, err := n.Append(b.Context(), entry(fmt.Sprint("channel:", next.Add(1)%10_000), "t", data))
		return err
	})
	killed := image(b, dir)
	n.close()
	for name, dir := range map[string]string{"clean": dir, "killed": killed} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				copied := image(b, dir)
				b.StartTimer()
				e, err := disk.Open(copied, opts)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(e.Recovered()), "records-read-back")
				e.Close()
			}
		})
	}
}
