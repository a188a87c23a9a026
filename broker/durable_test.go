package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

// memoryStore is a broker without an engine.
type memoryStore struct{ *broker.Broker }

func (s memoryStore) Load(ctx context.Context, name schemas.Channel) (kept engine.Snapshot, err error) {
	page, err := s.History(ctx, name, broker.Query{Limit: 1000})
	if errors.Is(err, broker.ErrNoChannel) {
		return kept, nil
	}
	kept.Messages = make([]schemas.Message, len(page.Messages))
	for i, text := range page.Messages {
		err = errors.Join(err, json.Unmarshal(text, &kept.Messages[i]))
	}
	return kept, err
}

func (s memoryStore) Delete(ctx context.Context, name schemas.Channel) (found bool, err error) {
	if err = s.Broker.Delete(ctx, name); errors.Is(err, broker.ErrNoChannel) {
		return false, nil
	}
	return err == nil, err
}

func TestBroker_Publish_durable(t *testing.T) {
	enginetest.Keys(t, memoryStore{start(t, broker.Options{})})
}

// TestBroker_Publish_texts: a text counts as one message. (That the latest messages of topics
// are kept over the limits is not seen in the history, but by who asks for them.)
func TestBroker_Publish_texts(t *testing.T) {
	enginetest.WholeTexts(t, memoryStore{start(t, broker.Options{Replay: engine.Limits{Messages: enginetest.KeptMessages}})})
}

// TestBroker_Publish_merged: so do messages that a merge rule joins.
func TestBroker_Publish_merged(t *testing.T) {
	limits := engine.Limits{Messages: enginetest.KeptMessages, Merge: enginetest.MergeRules(t)}
	enginetest.Merged(t, memoryStore{start(t, broker.Options{Replay: limits})})
}

func TestBroker_Publish_fences(t *testing.T) {
	enginetest.Fences(t, memoryStore{start(t, broker.Options{})})
}

// TestKeeper_contract: the fake engine of these tests fulfils the contract of an engine.
func TestKeeper_contract(t *testing.T) {
	k := newKeeper()
	a, b := k.node(), k.node()
	for _, n := range []*node{a, b} {
		start(t, broker.Options{Engine: n})
	}
	t.Run("messages", func(t *testing.T) { enginetest.Messages(t, a, b) })
	t.Run("keys", func(t *testing.T) { enginetest.Keys(t, a, b) })
	t.Run("runs", func(t *testing.T) { enginetest.Runs(t, a, b) })
	t.Run("fences", func(t *testing.T) { enginetest.Fences(t, a, b) })
	k = newKeeper()
	a = k.node()
	start(t, broker.Options{Engine: a})
	t.Run("listing", func(t *testing.T) { enginetest.Listing(t, a) })
}

func TestBroker_Stats_durable(t *testing.T) {
	b := start(t, broker.Options{})
	for range 2 {
		put(t, b, broker.Publication{Channel: "a:1", Topic: "status", Data: []byte("1"), Key: "k"})
	}
	if s := b.Stats(); s.Published != 1 || s.Replayed != 1 || s.Remembered != 1 || s.ForgottenEarly != 0 || s.RememberedBytes <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestBroker_Publish_durableThatFailedIsNotRemembered(t *testing.T) {
	b := start(t, broker.Options{MaxEventBytes: 400})
	p := broker.Publication{Channel: "a", Topic: "b", Data: []byte(`"` + strings.Repeat("x", 400) + `"`), Key: "k"}
	if _, err := b.Publish(t.Context(), p); !errors.Is(err, engine.ErrTooLarge) {
		t.Fatalf("got %v, want engine.ErrTooLarge", err)
	}
	p.Data = []byte("1")
	if r := put(t, b, p); r.Duplicate {
		t.Error("a refused publish is remembered")
	}
}

// TestBroker_Publish_durableForgotten: a key is forgotten when its time or the memory runs out.
func TestBroker_Publish_durableForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := start(t, broker.Options{RememberFor: time.Hour, RememberBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(&log, nil))})
		p := broker.Publication{Channel: "a", Topic: "b", Data: []byte("1"), Key: "k"}
		put(t, b, p)
		time.Sleep(59 * time.Minute) // of the bubble
		if r := put(t, b, p); !r.Duplicate {
			t.Error("forgotten before its time")
		}
		time.Sleep(3 * time.Minute)
		if r := put(t, b, p); r.Duplicate {
			t.Error("remembered for too long")
		}
		if n := b.Stats().ForgottenEarly; n != 0 {
			t.Errorf("%d are counted as forgotten early", n)
		}
		const n = 10_000
		for i := range n {
			p.Key = fmt.Sprint(i)
			put(t, b, p)
		}
		s := b.Stats()
		if s.ForgottenEarly == 0 || int64(s.Remembered)+s.ForgottenEarly != n+1 || s.RememberedBytes > 1<<20 {
			t.Errorf("after %d: %+v", n+1, s)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if want := fmt.Sprintf("publishes=%d\n", s.ForgottenEarly); strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("the log says %q, want once %q", log.String(), want)
		}
		p.Key = fmt.Sprint(n - 1)
		if r := put(t, b, p); !r.Duplicate {
			t.Error("the newest is forgotten")
		}
	})
}
