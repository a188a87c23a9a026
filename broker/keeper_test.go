package broker_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// keeper is an engine that keeps everything in memory for several brokers, its
// nodes, as an engine of many nodes does: a node is delivered only what it
// follows. It is for what a real engine cannot be made to do at will.
type keeper struct {
	mu       sync.Mutex
	head     uint64
	messages map[schemas.Channel][]schemas.Message
	runs     map[schemas.Channel]schemas.Message
	receipts map[string]schemas.Receipt
	lost     map[schemas.Channel]uint64
	nodes    []*node
}

func newKeeper() *keeper {
	return &keeper{
		messages: make(map[schemas.Channel][]schemas.Message), runs: make(map[schemas.Channel]schemas.Message),
		receipts: make(map[string]schemas.Receipt), lost: make(map[schemas.Channel]uint64),
	}
}

// node is the keeper's engine of one broker.
type node struct {
	*keeper
	sink     broker.Sink
	followed map[schemas.Pattern]bool // guarded by the keeper's mu
	down     error                    // guarded by the keeper's mu
	missing  []schemas.Message        // guarded by the keeper's mu; what it was not delivered while deaf
	deaf     schemas.Channel          // guarded by the keeper's mu; of which it is delivered nothing
	loads    int                      // guarded by the keeper's mu
}

func (k *keeper) node() *node {
	n := &node{keeper: k, followed: make(map[schemas.Pattern]bool)}
	k.nodes = append(k.nodes, n)
	return n
}

func (n *node) Start(sink broker.Sink) (broker.Origin, error) {
	n.sink = sink
	return broker.Origin{Epoch: 20, Head: n.head}, nil
}

func (n *node) Append(ctx context.Context, e broker.Entry) (schemas.Receipt, error) {
	if err := n.sink.Wait(ctx, e.Channel); err != nil {
		return schemas.Receipt{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down != nil {
		return schemas.Receipt{}, n.down
	}
	key := string(e.Channel) + "\n" + string(e.Topic) + "\n" + e.Key
	if first, ok := n.receipts[key]; ok && e.Key != "" {
		first.Duplicate = true
		return first, nil
	}
	if run, ok := n.runs[e.Channel]; ok {
		if first, err := e.Follow(&run); first != nil || err != nil {
			return deref(first), err
		}
	}
	n.head++
	m := e.Message
	m.ID, m.CreatedAt, m.Data = schemas.ID{Epoch: 20, Seq: n.head}, schemas.TimeOf(time.Now()), slices.Clone(e.Data)
	n.messages[m.Channel] = append(n.messages[m.Channel], m)
	if m.Kind == schemas.KindRun {
		n.runs[m.Channel] = m
	}
	for _, other := range n.nodes {
		other.hear(m)
	}
	r := schemas.Receipt{ID: m.ID, Channel: m.Channel, Topic: m.Topic, Kind: m.Kind, CreatedAt: m.CreatedAt, Durable: e.Key != ""}
	if e.Key != "" {
		n.receipts[key] = r
	}
	return r, nil
}

func deref(r *schemas.Receipt) schemas.Receipt {
	if r == nil {
		return schemas.Receipt{}
	}
	return *r
}

// hear delivers m if it is followed. The keeper's mu is held.
func (n *node) hear(m schemas.Message) {
	switch {
	case !n.follows(m.Channel):
		n.sink.Reached(m.ID.Seq)
	case n.deaf == m.Channel:
		n.missing = append(n.missing, m)
	default:
		n.sink.Deliver(m, broker.Limits{})
	}
}

func (n *node) follows(name schemas.Channel) bool {
	for pattern := range n.followed {
		if pattern.Matches(name) {
			return true
		}
	}
	return false
}

// following reports whether the node was told to deliver what pattern names.
func (n *node) following(pattern schemas.Pattern) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.followed[pattern]
}

// loaded returns how often a channel was loaded.
func (n *node) loaded() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.loads
}

// deafen makes the node miss what is published to the channel, until it is repaired.
func (n *node) deafen(name schemas.Channel) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = name
}

// repair delivers what the node missed.
func (n *node) repair() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = ""
	for _, m := range n.missing {
		n.sink.Deliver(m, broker.Limits{})
	}
	n.missing = nil
	n.sink.Reached(n.head)
}

func (n *node) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = err
}

func (n *node) Recall(_ context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.receipts[string(channel)+"\n"+string(topic)+"\n"+key]
	r.Duplicate = true
	return r, ok, n.down
}

func (n *node) Head(context.Context) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.head, n.down
}

func (n *node) Load(_ context.Context, name schemas.Channel) (broker.Kept, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loads++
	kept := broker.Kept{Messages: slices.Clone(n.messages[name]), Lost: n.lost[name]}
	if run, ok := n.runs[name]; ok {
		kept.Run = &run
	}
	return kept, n.down
}

func (n *node) Matching(_ context.Context, pattern schemas.Pattern, after uint64, limit int) (broker.Found, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found broker.Found
	for name, list := range n.messages {
		if pattern.Matches(name) && len(list) > 0 && list[len(list)-1].ID.Seq > after {
			found.Channels = append(found.Channels, name)
		}
	}
	if found.More = len(found.Channels) > limit; found.More {
		found.Channels = found.Channels[:limit]
	}
	return found, n.down
}

func (n *node) Names(_ context.Context, prefix string, after schemas.Channel, limit int) ([]schemas.Channel, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var names []schemas.Channel
	for name := range n.messages {
		if strings.HasPrefix(string(name), prefix) && name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), limit)], n.down
}

func (n *node) Follow(_ context.Context, pattern schemas.Pattern) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.followed[pattern] {
		panic("followed twice: " + string(pattern))
	}
	if n.down == nil {
		n.followed[pattern] = true
	}
	return n.down
}

func (n *node) Unfollow(pattern schemas.Pattern) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.followed[pattern] {
		panic("not followed: " + string(pattern))
	}
	delete(n.followed, pattern)
}

func (n *node) Delete(_ context.Context, name schemas.Channel) (bool, error) {
	n.mu.Lock()
	list := n.messages[name]
	found := len(list) > 0
	if found {
		n.lost[name] = list[len(list)-1].ID.Seq
	}
	delete(n.messages, name)
	delete(n.runs, name)
	nodes := slices.Clone(n.nodes)
	n.mu.Unlock()
	for _, other := range nodes {
		found = other.sink.Drop(name) || found
	}
	return found, nil
}

func (n *node) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down
}

func (n *node) Stats() broker.EngineStats { return broker.EngineStats{} }

func (n *node) Close() error { return nil }
