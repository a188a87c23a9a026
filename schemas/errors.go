package schemas

import "errors"

// Errors of this package. The text of a returned error names the fault.
var (
	// Errors of the Parse functions. ParsePattern returns ErrBadGrant, and ParsePosition
	// returns ErrBadID.
	ErrBadChannel  = errors.New("schemas: bad channel name")
	ErrBadTopic    = errors.New("schemas: bad topic name")
	ErrBadRunID    = errors.New("schemas: bad run id")
	ErrBadStreamID = errors.New("schemas: bad stream id")
	ErrBadKey      = errors.New("schemas: bad idempotency key")
	ErrBadID       = errors.New("schemas: bad id")
	ErrBadGrant    = errors.New("schemas: bad grant")

	// ErrBadSize is returned by [ByteSize.UnmarshalText].
	ErrBadSize = errors.New("schemas: bad size")
	// ErrBadDuration is returned by [Duration.UnmarshalText].
	ErrBadDuration = errors.New("schemas: bad duration")

	// ErrBadDefinition says that a definition is malformed or conflicts with another one.
	ErrBadDefinition = errors.New("schemas: bad channel definition")
	// ErrBadSchema says that the definition is well-formed, but one of its schemas does not
	// compile.
	ErrBadSchema = errors.New("schemas: bad schema")
	// ErrNoDefinition says that there is no definition with that name.
	ErrNoDefinition = errors.New("schemas: no such channel definition")
	// ErrTooManyDefinitions says that the catalog is full.
	ErrTooManyDefinitions = errors.New("schemas: too many channel definitions")

	// ErrSchemaViolation says that a message does not match its topic's schema. See [Violation].
	ErrSchemaViolation = errors.New("schemas: message does not match its schema")
	// ErrUnknownTopic says that a strict definition does not have the topic.
	ErrUnknownTopic = errors.New("schemas: topic is not defined")
	// ErrTooMuchWork says that checking a message takes more steps than its size allows.
	ErrTooMuchWork = errors.New("schemas: checking the message takes too much work")
)
