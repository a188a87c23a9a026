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
	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/schemas"
)

// The kinds of facts that are told here. Those of others are passed over.
const (
	factRevocation facts.Kind = "revocation" // named by the jti, until it is needed no more
	factDefinition facts.Kind = "definition" // named by the definition, which is its value
	factDisconnect facts.Kind = "disconnect" // named at random; its value is a disconnection
)

// disconnectFor is how late a node may hear whom to disconnect.
const disconnectFor = time.Minute

// disconnection says whose streams end.
type disconnection struct {
	Subject string    `json:"sub"`
	Before  time.Time `json:"before"` // spares those that were opened later
}

// Watch makes all facts that hold count here, and from now on each that is told,
// here or on another node. It is called once, before the first request.
//
// What cannot hold here at the start, such as a definition that ties with one of
// this node's file, is logged. The error is that of the store.
func (s *Service) Watch(ctx context.Context) error {
	var started atomic.Bool
	err := s.api.Facts.Watch(ctx, func(f facts.Fact) error {
		if started.Load() {
			return s.api.apply(f)
		}
		err := s.api.restore(f)
		if err == nil {
			return nil
		}
		s.api.Log.Error("a kept fact does not hold here", slog.String("kind", string(f.Kind)), slog.String("name", f.Name), slog.Any("error", err))
		return nil
	})
	started.Store(true)
	return err
}

// restore is apply for a fact that held when this node stopped.
func (a *api) restore(f facts.Fact) error {
	if f.Kind == factRevocation && !f.Gone {
		return a.Auth.RestoreRevocation(f.Name, f.Until)
	}
	return a.apply(f)
}

// apply makes a fact hold on this node. It is a [facts.Apply].
func (a *api) apply(f facts.Fact) error {
	switch f.Kind {
	case factRevocation:
		return a.applyRevocation(f)
	case factDefinition:
		return a.applyDefinition(f)
	case factDisconnect:
		return a.applyDisconnect(f)
	}
	return nil
}

func (a *api) applyRevocation(f facts.Fact) error {
	if f.Gone {
		a.Auth.Unrevoke(f.Name)
		return nil
	}
	if err := a.Auth.RevokeUntil(f.Name, f.Until); err != nil {
		return err
	}
	a.Broker.Disconnect(broker.Filter{TokenID: f.Name}, broker.TokenRevoked())
	return nil
}

func (a *api) applyDefinition(f facts.Fact) error {
	if f.Gone {
		// What is gone already may be told again.
		if err := a.Catalog.Delete(f.Name); !errors.Is(err, schemas.ErrNoDefinition) {
			return err
		}
		return nil
	}
	def, err := schemas.ParseDefinition(f.Name, f.Value)
	if err != nil {
		return err
	}
	return a.Catalog.Put(def)
}

func (a *api) applyDisconnect(f facts.Fact) error {
	if f.Gone {
		return nil
	}
	var d disconnection
	if err := json.Unmarshal(f.Value, &d); err != nil || d.Subject == "" || d.Before.IsZero() {
		return fmt.Errorf("handlers: a disconnection that says %.200q", f.Value)
	}
	streams := broker.Filter{Subject: d.Subject, Before: d.Before}
	if a.tally.counts(f.Name) {
		streams.Before = time.Time{} // it comes at once, whatever has happened to the clock
	}
	a.tally.add(f.Name, a.Broker.Disconnect(streams, broker.Disconnected()))
	return nil
}

// tally counts the streams that the disconnections which were asked for here have
// ended here. The zero value is empty.
type tally struct {
	mu sync.Mutex
	by map[string]int // guarded by mu; by the name of the fact, while it is counted for
}

// begin counts for the fact of that name until stop is called, which returns how
// many streams it were.
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

// counts reports whether it counts for the fact of that name.
func (t *tally) counts(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.by[name]
	return ok
}

// add adds to what is counted for.
func (t *tally) add(name string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.by[name]; ok {
		t.by[name] += n
	}
}
