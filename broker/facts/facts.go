// Package facts has what every node of a service must know beside messages:
// revoked tokens, channel definitions, signing keys, whom to disconnect. There
// are few of them, they are small, and they change rarely.
//
// A fact is known by its kind and name. All nodes apply the changes of facts in
// one order, and one that starts later begins with all that hold. The package
// does not know what a fact means.
package facts

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable says that a fact cannot be told or read now. Nothing was changed.
var ErrUnavailable = errors.New("facts: unavailable")

// Kind says what a fact is about.
type Kind string

// Bounds of a fact, in bytes.
const (
	MaxName  = 512
	MaxValue = 512 << 10
)

// Fact is something that holds, or holds no longer.
type Fact struct {
	Kind  Kind   // 1 to 32 lower-case letters
	Name  string // within the kind, 1 to [MaxName] bytes
	Value []byte // at most [MaxValue] bytes; nobody changes them
	// Until is when it is forgotten; the zero time for never.
	Until time.Time
	// Gone says that the fact holds no longer.
	Gone bool
}

// Apply makes a fact hold on this node. It is called for one fact at a time, and may
// be called again with one that holds already. An error says that the fact cannot
// hold, on any node.
type Apply func(Fact) error

// Store keeps facts and brings them to every node. Its methods are safe for
// concurrent use; errors are [ErrUnavailable], those named, and those of the
// contexts.
type Store interface {
	// Claim keeps f unless a fact of that kind and name is kept, and returns what is
	// kept then. It can be called before Watch.
	Claim(ctx context.Context, f Fact) (Fact, error)

	// Watch calls apply for all facts that hold, and returns; then for each change,
	// until the store is closed. It is called once.
	Watch(ctx context.Context, apply Apply) error

	// Tell keeps f and returns when apply was called with it here. If apply returns
	// an error, f is not kept, what was before holds again, and that error is
	// returned.
	Tell(ctx context.Context, f Fact) error
}
