package broker_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// keeper is an engine that keeps everything in memory for several brokers, its nodes.
// Like an engine with many nodes, it delivers to a node only what that has subscribed
// to. It does what a real engine cannot be made to do at will.
type keeper struct {
	mu       sync.Mutex
	head     uint64
	messages map[schemas.Channel][]schemas.Message
	runs     map[schemas.Channel]schemas.Message
	receipts map[string]schemas.Receipt
	lost     map[schemas.Channel]uint64
	texts    map[engine.TextName]textRecord
	unsure   uint64 // up to here, any channel may have lost something
	nodes    []*node
}

func newKeeper() *keeper {
	return &keeper{
		messages: make(map[schemas.Channel][]schemas.Message), runs: make(map[schemas.Channel]schemas.Message),
		receipts: make(map[string]schemas.Receipt), lost: make(map[schemas.Channel]uint64),
		texts: make(map[engine.TextName]textRecord),
	}
}

// node is the keeper's engine of one broker.
type node struct {
	*keeper
	sink     engine.Sink
	followed map[schemas.Pattern]bool // guarded by the keeper's mu
	down     error                    // guarded by the keeper's mu
	missing  []schemas.Message        // guarded by the keeper's mu; what it was not delivered while deaf
	deaf     schemas.Channel          // guarded by the keeper's mu; of which it is delivered nothing
	loads    int                      // guarded by the keeper's mu
	mute     schemas.Pattern          // guarded by the keeper's mu; it does not answer when it is to follow this
}

// textRecord is the record of a text, which the node has set.
type textRecord struct {
	engine.Text
	revision uint64
	node     *node
}

// losePower makes the keeper unsure of what was published last: its positions continue
// far beyond it.
func (k *keeper) losePower() {
	k.head += 1 << 20
	k.unsure = k.head
}

func (k *keeper) node() *node {
	n := &node{keeper: k, followed: make(map[schemas.Pattern]bool)}
	k.nodes = append(k.nodes, n)
	return n
}

func (n *node) Start(sink engine.Sink) (engine.Origin, error) {
	n.sink = sink
	return engine.Origin{Epoch: 20, Head: n.head, Lost: n.unsure}, nil
}

func (n *node) Text(_ context.Context, name engine.TextName) (engine.Text, uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.texts[name]
	r.Orphaned = r.node != nil && r.node.down != nil
	return r.Text, r.revision, n.down
}

func (n *node) SetText(_ context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down != nil {
		return 0, n.down
	}
	if n.texts[name].revision != revision {
		return 0, engine.ErrFenced
	}
	n.head++
	t.Since, t.At = cmp.Or(t.Since, n.head), schemas.TimeOf(time.Now())
	n.texts[name] = textRecord{t, n.head, n}
	return n.head, nil
}

func (n *node) Append(ctx context.Context, e engine.Entry) (schemas.Receipt, error) {
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
	if e.Fence != 0 && n.texts[e.TextName()].revision != e.Fence {
		return schemas.Receipt{}, engine.ErrFenced
	}
	if run, ok := n.runs[e.Channel]; ok {
		if first, err := e.CheckRun(&run); first != nil || err != nil {
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

// hear delivers m if it is subscribed to. The caller holds the keeper's mu.
func (n *node) hear(m schemas.Message) {
	switch {
	case !n.follows(m.Channel):
		n.sink.Reached(m.ID.Seq)
	case n.deaf == m.Channel:
		n.missing = append(n.missing, m)
	default:
		n.sink.Deliver(m, engine.Limits{})
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

// repair delivers what the node has missed.
func (n *node) repair() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = ""
	for _, m := range n.missing {
		n.sink.Deliver(m, engine.Limits{})
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

func (n *node) Load(_ context.Context, name schemas.Channel) (engine.Snapshot, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loads++
	kept := engine.Snapshot{Messages: slices.Clone(n.messages[name]), Lost: engine.AllLost(n.lost[name])}
	if run, ok := n.runs[name]; ok {
		kept.Run = &run
	}
	return kept, n.down
}

func (n *node) Matching(_ context.Context, pattern schemas.Pattern, after uint64, limit int) (engine.Found, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found engine.Found
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

func (n *node) List(_ context.Context, prefix string, after schemas.Channel, limit int) ([]engine.Summary, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []engine.Summary
	for name, kept := range n.messages {
		if strings.HasPrefix(string(name), prefix) && name > after {
			s := engine.Summary{Channel: name, Messages: len(kept), First: kept[0].ID.Seq, Last: kept[len(kept)-1].ID.Seq}
			if run, ok := n.runs[name]; ok {
				s.Run = &run
			}
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b engine.Summary) int { return strings.Compare(string(a.Channel), string(b.Channel)) })
	return list[:min(len(list), limit)], n.down
}

// silence makes the node not answer when it is to follow what pattern names; "" lets
// it answer again.
func (n *node) silence(pattern schemas.Pattern) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mute = pattern
}

func (n *node) Subscribe(ctx context.Context, pattern schemas.Pattern) error {
	n.mu.Lock()
	mute := n.mute
	n.mu.Unlock()
	if mute == pattern {
		<-ctx.Done()
		return ctx.Err()
	}
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

func (n *node) Unsubscribe(pattern schemas.Pattern) {
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

func (n *node) Stats() engine.Stats { return engine.Stats{} }

func (n *node) Close() error { return nil }
