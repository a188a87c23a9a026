package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/broker/engine"
)

// usable reports why the cluster should not be asked for anything now.
func (e *Engine) usable() error {
	if err := e.health.ready(); err != nil && !errors.Is(err, engine.ErrReadOnly) {
		return err
	}
	if !e.conn.IsConnected() {
		return fmt.Errorf("%w: no connection to a nats server", engine.ErrUnavailable)
	}
	return nil
}

// reading returns the context of a request, bounded by [Options.Timeout], or why the
// request would be pointless.
func (e *Engine) reading(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := e.usable(); err != nil {
		return nil, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	return limited, cancel, nil
}

// writing is reading for a request that stores something.
func (e *Engine) writing(ctx context.Context) (context.Context, context.CancelFunc, error) {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := e.health.ready(); err != nil {
		cancel()
		return nil, nil, err
	}
	return limited, cancel, nil
}

// failed turns the error of a request into one of the contract: that of the caller's
// context, ErrUncertain, or ErrUnavailable. Callers know nothing of a context of our
// own, so its end is none of their errors.
func (e *Engine) failed(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrUncertain) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
}
