package broker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// shards are the engines of three shards, each for several brokers.
type shards [3]*keeper

func newShards() shards { return shards{newKeeper(), newKeeper(), newKeeper()} }

// on starts a broker over the shards, and returns its engines.
func (s shards) on(t testing.TB, opts broker.Options) (*broker.Broker, []*node) {
	t.Helper()
	var nodes []*node
	for _, k := range s {
		n := k.node()
		nodes, opts.Shards = append(nodes, n), append(opts.Shards, n)
	}
	return start(t, opts), nodes
}

// within returns the i-th channel of the form prefix:n that is in a shard of three,
// from 1.
func within(prefix string, shard, i int) string {
	for n := 0; ; n++ {
		name := fmt.Sprint(prefix, ":", n)
		if broker.ShardIndex(schemas.Channel(name), 3) != shard-1 {
			continue
		}
		if i--; i < 0 {
			return name
		}
	}
}

// after returns sub with the id that the client has.
func after(sub broker.Subscription, id string) broker.Subscription {
	sub.LastEventID = id
	return sub
}

// told writes events in short: the name of each, its id without the epoch, and what it
// says.
func told(events []event) string {
	var words []string
	for _, e := range events {
		word := e.name + "@" + strings.TrimPrefix(e.id, "k.")
		var d struct {
			ID, Channel, After, Reason string
			ResumesAt                  *string `json:"resumes_at"`
			Resumed                    bool
			Code                       int
		}
		_ = json.Unmarshal([]byte(e.data), &d)
		switch e.name {
		case "$open":
			word += fmt.Sprintf("[%t]", d.Resumed)
		case "$gap":
			word += fmt.Sprintf("[%s %s>%s", d.Channel, d.Reason, strings.TrimPrefix(d.After, "k."))
			if d.ResumesAt != nil {
				word += "<" + strings.TrimPrefix(*d.ResumesAt, "k.")
			}
			word += "]"
		case "$close":
			word += fmt.Sprintf("[%d]", d.Code)
		case "$position":
		default:
			word += "[" + strings.TrimPrefix(d.ID, "k.") + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func wantTold(t testing.TB, what string, got []event, want string) {
	t.Helper()
	if got := told(got); got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// interests returns what the node follows.
func (n *node) interests() []schemas.Pattern {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.followed))
}

// sleeper is an engine that takes its time to start.
type sleeper struct{ *node }

func (s *sleeper) Start(sink engine.Sink) (engine.Origin, error) {
	time.Sleep(time.Minute)
	return s.node.Start(sink)
}

// stranger is an engine of another log.
type stranger struct{ *node }

func (s *stranger) Start(sink engine.Sink) (engine.Origin, error) {
	origin, err := s.node.Start(sink)
	origin.Epoch++
	return origin, err
}

// counted is an engine whose figures are all 1.
type counted struct{ *node }

func (*counted) Stats() (s engine.Stats) {
	for v, i := reflect.ValueOf(&s).Elem(), 0; i < v.NumField(); i++ {
		if field := v.Field(i); field.CanInt() {
			field.SetInt(1)
		}
	}
	once := engine.NewTimes()
	once.Observe(1)
	s.SyncTimes = once.Snapshot()
	return s
}
