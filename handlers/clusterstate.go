package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/schemas"
)

// The kinds of items that the handlers store. They ignore other kinds.
const (
	kindRevocation clusterstate.Kind = "revocation" // the name is the jti; expires with the last token that it can apply to
	kindDefinition clusterstate.Kind = "definition" // the name is the definition's, the value is the definition
	kindDisconnect clusterstate.Kind = "disconnect" // the name is random, the value is a disconnection
)

// disconnectFor is how long an order to disconnect is stored, for nodes that receive it late.
const disconnectFor = time.Minute

// disconnection is an order to end streams.
type disconnection struct {
	Subject string          `json:"sub"`
	Channel schemas.Channel `json:"channel,omitempty"` // only streams that read this channel; "": all
	Before  time.Time       `json:"before"`            // only streams that were opened before
}

// Watch applies the current cluster state to this node, and then every later change, whichever
// node makes it. It must be called once, before the first request.
//
// Stored items that cannot be applied are logged, such as a definition that conflicts with one
// from this node's file. The returned error is that of the store.
func (s *Service) Watch(ctx context.Context) error {
	var started atomic.Bool
	var endless []string
	err := s.api.ClusterState.Watch(ctx, func(item clusterstate.Item) error {
		if started.Load() {
			return s.api.apply(item)
		}
		if item.Kind == kindRevocation && !item.Deleted && item.ExpiresAt.IsZero() {
			endless = append(endless, item.Name)
		}
		if err := s.api.restore(item); err != nil {
			s.api.logUnapplied(item, err)
		}
		return nil
	})
	started.Store(true)
	if err == nil {
		go s.api.expireRevocations(ctx, endless)
	}
	return err
}

// expireRevocations adds an expiry to revocations that an earlier version stored without one.
// There may be many, so it runs in the background. It ends with ctx, and the next start
// continues.
func (a *api) expireRevocations(ctx context.Context, revoked []string) {
	for _, jti := range revoked {
		item := clusterstate.Item{Kind: kindRevocation, Name: jti}
		var err error
		if item.ExpiresAt, err = a.Auth.Revocable(jti); err == nil {
			err = a.ClusterState.Put(ctx, item)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.logUnapplied(item, err)
			return
		}
	}
}

// logUnapplied logs a stored item that could not be applied here.
func (a *api) logUnapplied(item clusterstate.Item, err error) {
	a.Log.Error("cannot apply cluster state", slog.String("kind", string(item.Kind)), slog.String("name", item.Name), slog.Any("error", err))
}

// restore is apply for an item that was stored before this node started.
func (a *api) restore(item clusterstate.Item) error {
	if item.Kind == kindRevocation && !item.Deleted {
		return a.Auth.RestoreRevocation(item.Name, item.ExpiresAt)
	}
	return a.apply(item)
}

// apply makes an item take effect on this node. It is a [clusterstate.Apply].
func (a *api) apply(item clusterstate.Item) error {
	switch item.Kind {
	case kindRevocation:
		return a.applyRevocation(item)
	case kindDefinition:
		return a.applyDefinition(item)
	case kindDisconnect:
		return a.applyDisconnect(item)
	}
	return nil
}

func (a *api) applyRevocation(item clusterstate.Item) error {
	if item.Deleted {
		a.Auth.Unrevoke(item.Name)
		return nil
	}
	if err := a.Auth.RevokeUntil(item.Name, item.ExpiresAt); err != nil {
		return err
	}
	a.Broker.Disconnect(broker.Filter{TokenID: item.Name}, broker.TokenRevoked())
	return nil
}

func (a *api) applyDefinition(item clusterstate.Item) error {
	if item.Deleted {
		// A deletion can be applied twice.
		if err := a.Catalog.Delete(item.Name); !errors.Is(err, schemas.ErrNoDefinition) {
			return err
		}
		return nil
	}
	def, err := schemas.ParseDefinition(item.Name, item.Value)
	if err != nil {
		return err
	}
	return a.Catalog.Put(def)
}

func (a *api) applyDisconnect(item clusterstate.Item) error {
	if item.Deleted {
		return nil
	}
	var d disconnection
	if err := json.Unmarshal(item.Value, &d); err != nil || d.Subject == "" || d.Before.IsZero() {
		return fmt.Errorf("handlers: invalid disconnection %.200q", item.Value)
	}
	streams := broker.Filter{Subject: d.Subject, Channel: d.Channel, Before: d.Before}
	if a.tally.counts(item.Name) {
		streams.Before = time.Time{} // this node made the order just now, so all open streams are older
	}
	a.tally.add(item.Name, a.Broker.Disconnect(streams, broker.Disconnected()))
	return nil
}

// tally counts the streams that each order to disconnect ended on this node, for the orders
// that this node received from a client. The zero value is empty.
type tally struct {
	mu sync.Mutex
	by map[string]int // guarded by mu; by the name of the item, while it is counted
}

// begin starts a count for the item with the given name. stop ends it and returns the result.
func (t *tally) begin(name string) (stop func() int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[string]int)
	}
	t.by[name] = 0
	return func() int {
		t.mu.Lock()
		defer t.mu.Unlock()
		defer delete(t.by, name)
		return t.by[name]
	}
}

// counts reports whether there is a count for the item with the given name.
func (t *tally) counts(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.by[name]
	return ok
}

// add adds n to the count, if there is one.
func (t *tally) add(name string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.by[name]; ok {
		t.by[name] += n
	}
}
