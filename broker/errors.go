package broker

import "errors"

// Errors of the broker. Nothing has happened when one of them is returned.
var (
	ErrClosed          = errors.New("broker: closed")
	ErrDraining        = errors.New("broker: draining")
	ErrBusy            = errors.New("broker: readers are being written to")
	ErrTooLarge        = errors.New("broker: message too large")
	ErrTooManyChannels = errors.New("broker: too many channels")
	ErrTooManyInStream = errors.New("broker: too many channels in one stream")
	ErrTooManyStreams  = errors.New("broker: too many streams")
	ErrBadReplay       = errors.New("broker: bad replay")
	ErrBadRunStatus    = errors.New("broker: bad run status")
	ErrRunFinished     = errors.New("broker: the run is finished")
	ErrNoChannel       = errors.New("broker: no such channel")
)
