package engine

import "errors"

// Errors of engines.
var (
	// ErrUnavailable says that the engine cannot store anything now. Nothing was
	// published, and nothing will be.
	ErrUnavailable = errors.New("engine: unavailable")
	// ErrReadOnly comes together with [ErrUnavailable] from an engine that accepts no
	// messages for now, for instance because its disk is full. What it has can be read.
	ErrReadOnly = errors.New("engine: read-only")
	// ErrUncertain says that the engine did not answer in time. What was to be
	// published or deleted may have been. For a publish with a key, a retry finds out.
	ErrUncertain = errors.New("engine: no answer, outcome unknown")

	// ErrFenced says that another publisher has taken the text since. Nothing was
	// published.
	ErrFenced = errors.New("engine: another publisher has taken the text")

	// Errors of [Entry]. Nothing was published.
	ErrTooLarge    = errors.New("engine: message too large")
	ErrRunFinished = errors.New("engine: run is finished")
)
