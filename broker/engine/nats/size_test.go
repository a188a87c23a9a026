//go:build unix

package nats_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

// What a server does not take is too large however it is published, to the byte; all else
// is stored, and comes back.
func TestEngine_maxPayload(t *testing.T) {
	const limit = 8 << 10
	opts := nats.Options{URLs: []string{natstest.Start(t, "max_payload: 8KB").URL()}, Timeout: patience}
	n, other := start(t, opts), start(t, opts)
	n.follow(t, "*")
	run := entry("run", "")
	run.Kind, run.Topic = schemas.KindRun, schemas.TopicRun
	piece := fenced("piece", 0, n.take(t, "piece", 0))
	for name, e := range map[string]engine.Entry{"plain": entry("plain", ""), "key": keyed("key", "", "k"), "run": run, "piece": piece} {
		var kept []string
		refused := 0
		for size := limit - 500; size < limit+100; size += 3 {
			e.Data = []byte(strings.Repeat("x", size))
			if e.Key != "" {
				e.Key = fmt.Sprint("k", size)
			}
			switch _, err := n.Append(t.Context(), e); {
			case err == nil && refused == 0:
				kept = append(kept, string(e.Data))
			case errors.Is(err, engine.ErrTooLarge):
				refused++
			default:
				t.Fatalf("%s: %d bytes after %d that were refused: %v", name, size, refused, err)
			}
		}
		if len(kept) == 0 || refused == 0 {
			t.Fatalf("%s: %d taken, %d refused", name, len(kept), refused)
		}
		n.delivered(t, schemas.Channel(name), kept...)
		got := other.load(t, schemas.Channel(name))
		if !slices.Equal(texts(got.Messages), kept) {
			t.Errorf("%s: %d kept of %d", name, len(got.Messages), len(kept))
		}
		if name == "run" && (got.Run == nil || string(got.Run.Data) != kept[len(kept)-1]) {
			t.Error("run: not the last one")
		}
	}
	if n.Stats().Repaired != 0 {
		t.Error("the connection was lost")
	}
	f := watch(t, n.Engine)
	if err := f.Store.Put(t.Context(), item("big", strings.Repeat("x", limit))); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("cluster state: %v", err)
	}
}

// Open soon says what servers cannot do, and names the setting.
func TestOpen_unsuitable(t *testing.T) {
	t.Parallel() // it waits
	for _, tt := range []struct {
		name, config, why string
		login             string // in the URL
		opts              nats.Options
	}{
		{"max_payload", "max_payload: 8KB", "max_payload", "", nats.Options{MaxEvent: 60 << 10}},
		{"JetStream is off", "jetstream: false", "JetStream is not enabled on the server", "", nats.Options{}},
		{
			"the account has none", "accounts { APP { users: [ { user: app, password: app } ] }, OTHER { jetstream: enabled, users: [ { user: o, password: o } ] } }",
			"JetStream is not enabled for the account",
			"app:app",
			nats.Options{},
		},
		{"one server, three replicas", "", "replicas", "", nats.Options{Replicas: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.opts.URLs = []string{withLogin(natstest.Start(t, tt.config).URL(), tt.login)}
			begun := time.Now()
			e, err := nats.Open(t.Context(), tt.opts)
			if err == nil {
				t.Fatal("is taken", e.Close())
			}
			if took := time.Since(begun); !errors.Is(err, nats.ErrUnsuitable) || !strings.Contains(err.Error(), tt.why) || took > 25*time.Second { // a cluster that may yet come up is waited for longer
				t.Errorf("%v after %s", err, took)
			}
		})
	}
}
