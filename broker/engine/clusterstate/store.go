// Package clusterstate holds the small state that every node of a service must
// agree on: revoked tokens, channel definitions, signing keys, and orders to
// disconnect a user. There are few items, and they change rarely.
//
// An item is identified by its kind and name. Every node applies the same changes
// in the same order, and a node that starts later begins with all current items.
// The package does not know what an item means.
package clusterstate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of stores.
var (
	// ErrUnavailable means that the state can be neither read nor changed now. Nothing
	// was changed.
	ErrUnavailable = errors.New("clusterstate: unavailable")
	// ErrUncertain means that the store did not answer in time: the item may have been
	// stored. The call can be repeated.
	ErrUncertain = errors.New("clusterstate: no answer: the item may have been stored")
)

// Kind says what an item is about.
type Kind string

// Limits of an item, in bytes.
const (
	MaxName  = 512
	MaxValue = 512 << 10

	maxKind = 32
)

// Item is one piece of the state, or the news that it was deleted.
type Item struct {
	Kind      Kind      // 1 to 32 lower-case letters
	Name      string    // unique within the kind, 1 to [MaxName] bytes
	Value     []byte    // at most [MaxValue] bytes; must not be modified
	ExpiresAt time.Time // zero: never
	Deleted   bool
}

// Check reports an item that exceeds the limits.
func (i Item) Check() error {
	switch {
	case i.Kind == "" || len(i.Kind) > maxKind || strings.ContainsFunc(string(i.Kind), func(c rune) bool { return c < 'a' || c > 'z' }):
		return fmt.Errorf("clusterstate: kind %q: 1 to %d lower-case letters are allowed", i.Kind, maxKind)
	case i.Name == "" || len(i.Name) > MaxName:
		return fmt.Errorf("clusterstate: a name of %d bytes: 1 to %d are allowed", len(i.Name), MaxName)
	case len(i.Value) > MaxValue:
		return fmt.Errorf("clusterstate: a value of %d bytes: at most %d are allowed", len(i.Value), MaxValue)
	}
	return nil
}

// Apply makes an item take effect on this node. Calls do not overlap. The same item
// may be applied more than once. An error means that the item can take effect on no
// node.
type Apply func(Item) error

// Store keeps items and brings them to every node. Its methods are safe for
// concurrent use. They return [ErrUnavailable], the error of their context, and what
// they name; Put also returns [ErrUncertain].
type Store interface {
	// Claim stores the item unless one of the same kind and name exists, and returns
	// the one that is stored afterwards. It may be called before Watch.
	Claim(ctx context.Context, item Item) (Item, error)

	// Watch calls apply for all current items and returns. From then on it calls apply
	// for each change, until the store is closed. It must be called once only.
	Watch(ctx context.Context, apply Apply) error

	// Put stores the item and returns once it was applied on this node. If apply
	// returns an error, Put restores the previous item and returns that error. Before
	// Watch it returns [ErrUnavailable].
	Put(ctx context.Context, item Item) error
}
