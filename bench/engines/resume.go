package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// kept is how many messages a channel has that readers come back to.
const kept = 256

// readersARound is how many come back in one measurement, at most.
const readersARound = 500

// resumes compares readers that come back to channels with 256 messages: to such that
// are in memory, and to such that have to be read from the disk first.
func resumes(ctx context.Context, o Options) (_ Table, err error) {
	t := Table{
		Title: "Resuming by id",
		Note: "The time from `Subscribe` with the id of the first message until the stream has handed out the other 255. " +
			"Readers come one after the other. Warm: the channel has another reader. Cold: nothing of the channel is in " +
			"memory.",
	}
	dir, err := os.MkdirTemp(o.Dir, "resume-")
	if err != nil {
		return t, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover of a measurement
	b, closeAll, err := openDisk(dir)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	names := 1 + o.Rounds*readersARound // each can be cold once
	firsts := make([]schemas.ID, names)
	for i := range kept * names {
		r, err := b.Publish(ctx, broker.Publication{Channel: schemas.Channel(fmt.Sprint("c:", i%names)), Topic: "status", Data: []byte(data)})
		if err != nil {
			return t, err
		}
		if i < names {
			firsts[i] = r.ID
		}
	}
	cold := 1
	figures, err := compare(ctx, o, "µs a reader", true,
		side{"warm, 255 messages", func(ctx context.Context, took time.Duration) (float64, error) {
			stay, err := b.Subscribe(ctx, broker.Subscription{Channels: []broker.Selector{{Channel: "c:0"}}})
			if err != nil {
				return 0, err
			}
			defer stay.Close()
			return perReader(ctx, b, took, func() (schemas.Channel, schemas.ID, bool) { return "c:0", firsts[0], true })
		}},
		side{"cold, 255 messages", func(ctx context.Context, took time.Duration) (float64, error) {
			return perReader(ctx, b, took, func() (schemas.Channel, schemas.ID, bool) {
				if cold == names {
					return "", schemas.ID{}, false
				}
				cold++
				return schemas.Channel(fmt.Sprint("c:", cold-1)), firsts[cold-1], true
			})
		}})
	t.Figures = figures
	return t, err
}

// perReader returns how many microseconds a reader took, one after the other.
func perReader(ctx context.Context, b *broker.Broker, took time.Duration, next func() (schemas.Channel, schemas.ID, bool)) (float64, error) {
	readers := 0
	began := time.Now()
	for time.Since(began) < took && readers < readersARound {
		name, id, more := next()
		if !more {
			break
		}
		if err := readRest(ctx, b, name, id); err != nil {
			return 0, err
		}
		readers++
	}
	if readers == 0 {
		return 0, errors.New("no channel was left that is cold")
	}
	return float64(time.Since(began).Microseconds()) / float64(readers), nil
}

func readRest(ctx context.Context, b *broker.Broker, name schemas.Channel, after schemas.ID) error {
	s, err := b.Subscribe(ctx, broker.Subscription{Channels: []broker.Selector{{Channel: schemas.Pattern(name)}}, LastEventID: after.String()})
	if err != nil {
		return err
	}
	defer s.Close()
	var batch broker.Batch
	for got := 0; got < kept-1; got += batch.Messages {
		if err := s.Next(ctx, &batch); err != nil {
			return err
		}
	}
	return nil
}
