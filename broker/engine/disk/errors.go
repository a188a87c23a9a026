package disk

import (
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/broker/engine"
)

// ErrInUse is returned by [Open] for a directory that another process, or another engine, has
// open.
var ErrInUse = errors.New("disk: directory in use")

var errClosed = errors.New("disk: closed")

// failed holds an error for an atomic pointer.
type failed struct{ err error }

// unavailable wraps err as [engine.ErrUnavailable].
func unavailable(err error) error {
	if err == nil || errors.Is(err, engine.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
}

// inOrder runs the steps until one fails, and returns its error.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// firstOf returns the first error. Unlike with inOrder, all steps have been run.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
