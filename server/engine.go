package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/disk"
	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/broker/nats"
	"github.com/sluicehq/sluice/schemas"
)

// engine keeps what the service must not forget.
type engine struct {
	messages []broker.Engine // one a shard; none: nothing is kept beyond memory
	facts    facts.Store
}

// chosen puts the engine into the options of the broker.
func (e *engine) chosen(o *broker.Options) {
	if len(e.messages) == 1 {
		o.Engine = e.messages[0]
		return
	}
	o.Shards = e.messages
}

// openEngine opens the engine that is chosen. The caller closes it, after all that
// uses it.
func openEngine(ctx context.Context, cfg *Config, catalog *schemas.Catalog, log *slog.Logger) (*engine, error) {
	switch cfg.engine() {
	case diskEngine:
		e, err := disk.Open(cfg.Data, disk.Options{
			SyncEvery: cfg.DataSync, MaxBytes: int64(cfg.DataBytes), RememberFor: cfg.RememberFor, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", cfg.Data, err)
		}
		return &engine{[]broker.Engine{e}, e.Facts()}, nil
	case natsEngine:
		return openNATS(ctx, nats.Options{
			URLs: cfg.NATS, Name: cfg.NATSName, Replicas: cfg.NATSReplicas,
			CredsFile: cfg.NATSCreds, NKeyFile: cfg.NATSNKey, User: cfg.NATSUser, Password: cfg.NATSPassword, Token: cfg.NATSToken,
			CAFile: cfg.NATSCA, CertFile: cfg.NATSCert, KeyFile: cfg.NATSKey,
			Retain: replay(cfg), LimitsOf: limitsOf(catalog), MaxBytes: int64(cfg.NATSBytes), RememberFor: cfg.RememberFor,
			Timeout: cfg.NATSTimeout, CutOff: cfg.NATSCutOff, Log: log,
		}, cfg.NATSShards)
	}
	return &engine{facts: new(facts.Local)}, nil
}

// openNATS opens an engine for each shard. The first one has the facts, and the epoch
// that all share.
func openNATS(ctx context.Context, opts nats.Options, shards int) (*engine, error) {
	all := new(engine)
	var first *nats.Facts
	for opts.Shard = range shards {
		e, err := nats.Open(ctx, opts)
		if err == nil {
			all.messages = append(all.messages, e)
			if opts.Shard == 0 {
				first, opts.Epoch = e.Facts(), e.Epoch()
				all.facts = first
			} else {
				err = first.Belongs(ctx, e)
			}
		}
		if err != nil {
			all.close(opts.Log)
			return nil, fmt.Errorf("connecting to %v: %w", withoutUsers(opts.URLs), err)
		}
	}
	return all, nil
}

// close gives the engine up. What cannot be kept then is logged.
func (e *engine) close(log *slog.Logger) {
	for _, messages := range e.messages {
		if err := messages.Close(); err != nil {
			log.Error("engine not closed in order", slog.Any("error", err))
		}
	}
}

// replay returns what a channel keeps that no definition gives other limits.
func replay(cfg *Config) broker.Limits {
	return broker.Limits{Messages: cfg.ReplayMessages, Bytes: int64(cfg.ReplayBytes), Age: cfg.ReplayAge}
}

// limitsOf returns what definitions say that a channel keeps, zero for what they
// leave open.
func limitsOf(catalog *schemas.Catalog) func(schemas.Channel) broker.Limits {
	return func(name schemas.Channel) broker.Limits { return broker.LimitsOf(catalog.For(name)) }
}

// The fact that is the keys that sign tokens, where none are given: a private JWK
// set. Whoever starts first makes it, and all that share the engine use it.
const (
	keysKind = facts.Kind("keys")
	keysName = "signing"
)

// keptKeyring returns the keys that the store keeps, made if need be.
func keptKeyring(ctx context.Context, store facts.Store) (*auth.Keyring, error) {
	fresh, err := auth.NewKeyring()
	if err != nil {
		return nil, err
	}
	set, err := fresh.PrivateSet()
	if err != nil {
		return nil, err
	}
	kept, err := store.Claim(ctx, facts.Fact{Kind: keysKind, Name: keysName, Value: set})
	if err != nil {
		return nil, fmt.Errorf("the keys that sign tokens: %w", err)
	}
	return auth.ParseKeyring(kept.Value)
}
