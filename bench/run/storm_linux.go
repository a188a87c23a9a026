package run

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/bench/report"
)

const (
	stormBefore = 10 // messages that every reader has when it is cut off
	stormMissed = 50
	stormLimit  = 20 * time.Second
)

// storm cuts all readers off, publishes, and lets all come back at once.
func (t *trial) storm(ctx context.Context) (map[string]float64, error) {
	tokens := make([]string, t.plan.readers)
	if ofSluice(t.peer) {
		if err := t.mintTokens(ctx, channel(0), `"*"`, tokens); err != nil {
			return nil, err
		}
	}
	err := t.client.Subscribe(t.plan.readers, t.withTokens(tokens))
	if err != nil {
		return nil, err
	}
	if err := t.client.Run(settle); err != nil {
		return nil, err
	}
	if err := t.publish(); err != nil {
		return nil, err
	}
	if err := t.some(stormBefore); err != nil {
		return nil, err
	}
	if whole, err := t.client.Drain(drainLimit); err != nil || !whole {
		return nil, errors.Join(err, errors.New("run: not all readers had the first messages"))
	}
	// An event whose data has come may still lack its end, and with it its id.
	if err := t.client.Run(50 * time.Millisecond); err != nil {
		return nil, err
	}
	t.client.Hangup()
	if err := t.some(stormMissed); err != nil {
		return nil, err
	}
	if err := t.client.Run(settle); err != nil {
		return nil, err
	}
	w, err := t.measure(func() error {
		err := t.client.Return(func(reader int, lastID []byte) []byte {
			return t.peer.Subscribe(channel(0), string(lastID), tokens[reader])
		})
		if err != nil {
			return err
		}
		_, err = t.client.Drain(stormLimit)
		return err
	})
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{
		report.CaughtUp:     milliseconds(w.wall),
		report.CPUToCatchUp: milliseconds(w.server),
		report.ClientBusy:   100 * w.counts.Busy.Seconds() / w.wall.Seconds(),
	}
	if t.peer.Secure {
		metrics[report.Resumed] = 100 * float64(w.counts.Resumed) / float64(t.plan.readers)
	}
	return metrics, nil
}

// some publishes n messages, one after the other.
func (t *trial) some(n int) error {
	for range n {
		if err := t.client.One(0); err != nil {
			return err
		}
	}
	return nil
}
