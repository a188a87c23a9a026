package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
)

// engines hold what must survive a restart.
type engines struct {
	messages     []engine.Engine // one for each shard; none if messages are in memory only
	clusterState clusterstate.Store
	outboxes     []outbox.Store // one for each shard; none without webhooks
	bus          presence.Bus   // between the nodes; nil: this one is alone
}

// chosen sets the engine in the options of the broker.
func (e *engines) chosen(o *broker.Options) {
	if len(e.messages) == 0 && len(e.outboxes) == 1 {
		o.Outbox, _ = e.outboxes[0].(*outbox.Local)
	}
	if len(e.messages) == 1 {
		o.Engine = e.messages[0]
		return
	}
	o.Shards = e.messages
}

// openEngine opens the chosen engine. The caller closes it, after everything that uses
// it.
func openEngine(ctx context.Context, cfg *Config, catalog *schemas.Catalog, log *slog.Logger) (*engines, error) {
	switch cfg.engine() {
	case diskEngine:
		e, err := disk.Open(cfg.Data, disk.Options{
			SyncEvery: cfg.DataSync, MaxBytes: int64(cfg.DataBytes), RememberFor: cfg.RememberFor, Outbox: cfg.Webhooks != "", Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", cfg.Data, err)
		}
		kept := &engines{messages: []engine.Engine{e}, clusterState: e.ClusterState()}
		if cfg.Webhooks != "" {
			kept.outboxes = []outbox.Store{e.Outbox()}
		}
		return kept, nil
	case natsEngine:
		return openNATS(ctx, nats.Options{
			URLs: cfg.NATS, Name: cfg.NATSName, Replicas: cfg.NATSReplicas,
			CredsFile: cfg.NATSCreds, NKeyFile: cfg.NATSNKey,
			CAFile: cfg.NATSCA, CertFile: cfg.NATSCert, KeyFile: cfg.NATSKey,
			Retain: replay(cfg), LimitsOf: limitsOf(catalog), MaxBytes: int64(cfg.NATSBytes), MaxEvent: int(cfg.MaxMessageBytes), RememberFor: cfg.RememberFor,
			Timeout: cfg.NATSTimeout, CutOff: cfg.NATSCutOff, Outbox: cfg.Webhooks != "", Log: log,
		}, cfg.NATSShards)
	}
	e := &engines{clusterState: new(clusterstate.Local)}
	if cfg.Webhooks != "" {
		e.outboxes = []outbox.Store{outbox.NewLocal()}
	}
	return e, nil
}

// openNATS opens an engine for each shard. The first one holds the cluster state, and
// its epoch is that of all shards.
func openNATS(ctx context.Context, opts nats.Options, shards int) (*engines, error) {
	all := new(engines)
	var first *nats.ClusterState
	for opts.Shard = range shards {
		e, err := nats.Open(ctx, opts)
		if err == nil {
			all.messages = append(all.messages, e)
			if opts.Outbox {
				all.outboxes = append(all.outboxes, e.Outbox())
			}
			if opts.Shard == 0 {
				first, opts.Epoch = e.ClusterState(), e.Epoch()
				all.clusterState, all.bus = first, e
			} else {
				err = first.Belongs(ctx, e)
			}
		}
		if errors.Is(err, nats.ErrUnsuitable) {
			err = usagef("%s", strings.TrimPrefix(err.Error(), nats.ErrUnsuitable.Error()+": "))
		}
		if err != nil {
			all.close(opts.Log)
			return nil, fmt.Errorf("connecting to %v: %w", withoutUsers(opts.URLs), err)
		}
	}
	return all, nil
}

// close closes the engine and logs what could not be stored.
func (e *engines) close(log *slog.Logger) {
	for _, messages := range e.messages {
		if err := messages.Close(); err != nil {
			log.Error("engine not closed cleanly", slog.Any("error", err))
		}
	}
}

// replay returns the limits of channels whose definition sets none.
func replay(cfg *Config) engine.Limits {
	return engine.Limits{Messages: cfg.ReplayMessages, Bytes: int64(cfg.ReplayBytes), Age: cfg.ReplayAge, TextBytes: int64(cfg.MaxTextBytes)}
}

// limitsOf returns the limits that definitions set for a channel, zero for those that
// they leave open.
func limitsOf(catalog *schemas.Catalog) func(schemas.Channel) engine.Limits {
	return func(name schemas.Channel) engine.Limits { return engine.LimitsOf(catalog.For(name)) }
}

// The item that holds the keys that sign tokens, a private JWK set, if none are
// configured. The first node to start makes it, and all nodes that share the engine use it.
const (
	keysKind = clusterstate.Kind("keys")
	keysName = "signing"
)

// keptKeyring returns the keys in the store, and makes them if there are none.
func keptKeyring(ctx context.Context, store clusterstate.Store) (*auth.Keyring, error) {
	fresh, err := auth.NewKeyring()
	if err != nil {
		return nil, err
	}
	set, err := fresh.PrivateSet()
	if err != nil {
		return nil, err
	}
	kept, err := store.Claim(ctx, clusterstate.Item{Kind: keysKind, Name: keysName, Value: set})
	if err != nil {
		return nil, fmt.Errorf("the keys that sign tokens: %w", err)
	}
	return auth.ParseKeyring(kept.Value)
}
