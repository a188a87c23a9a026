package engines

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// channels is over how many channels the publishers of one measurement go.
const channels = 1000

// data is what is published: with what belongs to it, about 200 bytes.
const data = `{"message":"Step 17 of 40 has finished","step":17,"of":40,"elapsed_ms":18234,"worker":"w-3"}`

// publishes compares publishes to a broker on disk with bare batches of Pebble that
// have the same bytes, for 1, 32 and 256 publishers, durable and ordinary.
func publishes(ctx context.Context, o Options) (Table, error) {
	t := Table{
		Title: "Publishes on disk",
		Note: "Publishers in the same process publish to 1,000 channels without readers. Each waits for its answer. Bare " +
			"Pebble writes one batch per message with the same records: the message, the state of its channel, and the " +
			"receipt of a durable publish. It commits durable publishes with `Sync` and ordinary ones with `NoSync`, so a " +
			"killed process loses the latter. Sluice hands ordinary publishes to the system before it answers, so it " +
			"loses none, and syncs them every 100 ms.",
	}
	for _, durable := range []bool{true, false} {
		for _, publishers := range []int{1, 32, 256} {
			kind := "ordinary"
			if durable {
				kind = "durable"
			}
			figures, err := compare(ctx, o, "publishes/s", false,
				side{fmt.Sprintf("bare Pebble, %s, publishers: %d", kind, publishers), func(ctx context.Context, took time.Duration) (float64, error) {
					return barePebble(ctx, o.Dir, publishers, durable, took)
				}},
				side{fmt.Sprintf("Sluice, %s, publishers: %d", kind, publishers), func(ctx context.Context, took time.Duration) (float64, error) {
					return onDisk(ctx, o.Dir, publishers, durable, took)
				}})
			if err != nil {
				return t, err
			}
			t.Figures = append(t.Figures, figures...)
		}
	}
	return t, nil
}

// rate has so many goroutines call publish with rising numbers for a while, and
// returns how many calls a second that were.
func rate(ctx context.Context, publishers int, took time.Duration, publish func(ctx context.Context, n uint64) error) (float64, error) {
	var next, done atomic.Uint64
	var running sync.WaitGroup
	faults := make(chan error, publishers)
	began := time.Now()
	for range publishers {
		running.Go(func() {
			for time.Since(began) < took && ctx.Err() == nil {
				if err := publish(ctx, next.Add(1)); err != nil {
					faults <- err
					return
				}
				done.Add(1)
			}
		})
	}
	running.Wait()
	seconds := time.Since(began).Seconds()
	select {
	case err := <-faults:
		return 0, err
	default:
		return float64(done.Load()) / seconds, ctx.Err()
	}
}

func onDisk(ctx context.Context, parent string, publishers int, durable bool, took time.Duration) (_ float64, err error) {
	dir, err := os.MkdirTemp(parent, "sluice-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover of a measurement
	b, closeAll, err := openDisk(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	return rate(ctx, publishers, took, func(ctx context.Context, n uint64) error {
		p := broker.Publication{Channel: channelOf(n), Topic: "status", Data: []byte(data)}
		if durable {
			p.Key = fmt.Sprint("key-", n)
		}
		_, err := b.Publish(ctx, p)
		return err
	})
}

// openDisk starts a broker over the directory.
func openDisk(dir string) (*broker.Broker, func() error, error) {
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return nil, nil, err
	}
	b, err := broker.New(broker.Options{Engine: e})
	if err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	return b, func() error { return errors.Join(b.Close(), e.Close()) }, nil
}

func channelOf(n uint64) schemas.Channel { return schemas.Channel(fmt.Sprint("pipeline:", n%channels)) }

func barePebble(ctx context.Context, parent string, publishers int, durable bool, took time.Duration) (_ float64, err error) {
	dir, err := os.MkdirTemp(parent, "pebble-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover of a measurement
	db, err := pebble.Open(dir, &pebble.Options{MemTableSize: 16 << 20, MemTableStopWritesThreshold: 4, Logger: quiet{}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	write := pebble.NoSync
	if durable {
		write = pebble.Sync
	}
	return rate(ctx, publishers, took, func(_ context.Context, n uint64) error {
		batch := db.NewBatch()
		defer batch.Close() //nolint:errcheck // it only gives memory back
		key := append([]byte("m"), channelOf(n)...)
		if err := batch.Set(binary.BigEndian.AppendUint64(key, n), []byte(data), nil); err != nil {
			return err
		}
		// What is known of the channel: how many messages it has, where they begin and end.
		if err := batch.Set(append([]byte("c"), channelOf(n)...), []byte(data)[:60], nil); err != nil {
			return err
		}
		if durable {
			key := binary.BigEndian.AppendUint64([]byte("k2345678"), n) // 16 bytes of a hash
			if err := batch.Set(key, []byte("a receipt of 24 bytes..."), nil); err != nil {
				return err
			}
		}
		return batch.Commit(write)
	})
}

// quiet is a logger that says nothing of what Pebble does day by day.
type quiet struct{}

// Infof implements [pebble.Logger].
func (quiet) Infof(string, ...any) {}

// Errorf implements [pebble.Logger].
func (quiet) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Fatalf implements [pebble.Logger].
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
