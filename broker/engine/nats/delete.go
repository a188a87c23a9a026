package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// Delete implements [engine.Engine].
func (e *Engine) Delete(ctx context.Context, name schemas.Channel) (found bool, err error) {
	limited, cancel, err := e.writing(ctx)
	if err != nil {
		return false, err
	}
	defer cancel()
	found, err = e.control.delete(limited, name)
	return found, e.failed(ctx, err)
}

// delete stores the record of the deletion, which hides at once what lies before it;
// removes that; and waits until this node has read the record.
func (c *control) delete(ctx context.Context, name schemas.Channel) (found bool, err error) {
	places := []string{subjectOf(c.names.messages, name), subjectOf(c.names.runs, name)}
	for _, place := range places {
		_, kept, err := c.stream.Last(ctx, place)
		if err != nil {
			return false, err
		}
		found = found || kept
	}
	record := jetstream.NewMsg(subjectOf(c.names.deletions, name), nil, c.opts.maxAge()+2*slack)
	jetstream.Replace(record)
	position, err := c.stream.Publish(ctx, record)
	if errors.Is(err, jetstream.ErrNoAnswer) {
		return false, fmt.Errorf("%w: %w", engine.ErrUncertain, err)
	}
	if err != nil {
		return false, err
	}
	for _, place := range append(places, c.names.archive(name), c.names.latest(name)) {
		if err := c.stream.Purge(ctx, place, position); err != nil {
			return false, fmt.Errorf("%w: %w", engine.ErrUncertain, err)
		}
	}
	if err := c.reader.waitFor(ctx, position); err != nil {
		return false, fmt.Errorf("%w: %w", engine.ErrUncertain, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return found || c.dropped[position], nil
}
