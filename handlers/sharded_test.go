package handlers_test

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// relay is an engine that keeps and delivers everything.
type relay struct {
	engine.Engine // nil: its other methods are not called

	sink engine.Sink

	mu   sync.Mutex
	head uint64
	kept map[schemas.Channel][]schemas.Message
}

func (r *relay) Start(sink engine.Sink) (engine.Origin, error) {
	r.sink, r.kept = sink, make(map[schemas.Channel][]schemas.Message)
	return engine.Origin{Epoch: 20}, nil
}

func (r *relay) Append(_ context.Context, e engine.Entry) (schemas.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head++
	e.ID, e.CreatedAt, e.Data = schemas.ID{Epoch: 20, Seq: r.head}, schemas.TimeOf(time.Now()), slices.Clone(e.Data)
	r.kept[e.Channel] = append(r.kept[e.Channel], e.Message)
	r.sink.Deliver(e.Message, e.Limits)
	return schemas.Receipt{ID: e.ID, Channel: e.Channel, Topic: e.Topic, Kind: e.Kind}, nil
}

func (r *relay) Head(context.Context) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head, nil
}

func (r *relay) Load(_ context.Context, name schemas.Channel) (engine.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return engine.Snapshot{Messages: slices.Clone(r.kept[name])}, nil
}

func (*relay) Subscribe(context.Context, schemas.Pattern) error { return nil }

func (*relay) Unsubscribe(schemas.Pattern) {}

func (*relay) Stats() engine.Stats { return engine.Stats{} }

// Streams over one shard and over several work on every path, and resume from the id that the
// client sends back.
func TestSubscribe_sharded(t *testing.T) {
	onEachPath(t, func(t *testing.T, srv *server) {
		one, several := "channel=a", "channel=a&channel=b&channel=d"
		for _, asked := range []string{one, several} {
			f := srv.open(t, call{path: asked, as: apiKey})
			start := f.after("$open").id
			srv.publish("a", "t", "1")
			f.gets("1")
			id := srv.publish("a", "t", "2").ID
			e := f.after("t")
			if got := e.message(t); got.ID != id || got.ID.Shard == 0 {
				t.Errorf("message %s, published as %s", got.ID, id)
			}
			if composite := asked == several; (e.id == id.String()) == composite {
				t.Errorf("message %s came under %s", id, e.id)
			}
			f.close()
			for back, want := range map[string][]string{start: {"1", "2"}, e.id: nil} {
				f = srv.open(t, call{path: asked + "&last_event_id=" + url.QueryEscape(back), as: apiKey})
				if open := f.after("$open"); open.id != back {
					t.Errorf("resumed at %s, asked for %s", open.id, back)
				}
				f.gets(want...)
				f.close()
			}
		}
	}, func(o *setup) {
		o.broker.Shards = []engine.Engine{new(relay), new(relay), new(relay)}
	})
}
