package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// weather is the conditions of one round of the property test.
type weather struct {
	name   string
	opts   func(*rand.Rand) broker.Options
	calm   bool // clients read on all the time
	kept   bool // nothing is ever dropped, so nobody may hear of a gap
	delete bool // channels are deleted
}

// TestStream_everythingOnceOrToldOf runs publishers and readers against each other, for
// about three seconds or for SLUICE_SOAK. Over all its connections, every reader must
// have received everything that it asked for, once and in order, or have been told of
// the loss.
//
// SLUICE_SEED repeats the rounds of a failed run, as far as goroutines do.
func TestStream_everythingOnceOrToldOf(t *testing.T) {
	if testing.Short() {
		t.Skip("a storm, left out with -short")
	}
	long := 3 * time.Second
	if text := os.Getenv("SLUICE_SOAK"); text != "" {
		long = must(time.ParseDuration(text))
	}
	seed := rand.Uint64()
	if text := os.Getenv("SLUICE_SEED"); text != "" {
		_ = must(fmt.Sscan(text, &seed))
	}
	weathers := []weather{
		{name: "kept", opts: roomy, kept: true},
		{name: "short rings, readers a moment behind", opts: held, calm: true, kept: true},
		{name: "short rings", opts: short},
		{name: "short everything", opts: tight, delete: true},
	}
	until := time.Now().Add(long)
	rounds, gaps, received, wires, joined := 0, 0, 0, 0, 0
	covered := func() bool { return gaps > 0 && received > 0 && wires > 0 && joined > 0 }
	// A slow machine may not get far in the time; luck that bad in a hundred rounds is a fault.
	for ; (time.Now().Before(until) || !covered() && rounds < 100) && !t.Failed(); rounds++ {
		w := weathers[rounds%len(weathers)]
		r := newRound(t, w, seed, uint64(rounds))
		r.run()
		for _, c := range r.clients {
			gaps += len(c.gaps())
			received += len(c.inTurn)
			joined += c.joined()
			if c.wired {
				wires++
			}
		}
	}
	t.Logf("SLUICE_SEED=%d: %d rounds, %d messages received, %d of them joined of several, %d gaps told, %d readers over connections", seed, rounds, received, joined, gaps, wires)
	if !covered() {
		t.Error("the rounds covered too little: no message, none that was joined, or no gap")
	}
}

func roomy(r *rand.Rand) broker.Options {
	return broker.Options{Replay: engine.Limits{Messages: 1 << 20, Bytes: 1 << 30}, Pace: pace(r)}
}

func held(r *rand.Rand) broker.Options {
	return broker.Options{Replay: engine.Limits{Messages: 1 + r.IntN(8)}, Pace: pace(r)}
}

func short(r *rand.Rand) broker.Options {
	o := held(r)
	o.BacklogBytes = 1 + r.Int64N(2000)
	if r.IntN(2) == 0 {
		o.Replay.Bytes = 1 + r.Int64N(2000)
	}
	if r.IntN(2) == 0 {
		o.Replay.TextBytes = 1 + r.Int64N(500)
	}
	return o
}

func tight(r *rand.Rand) broker.Options {
	o := short(r)
	o.Memory = 1000 + r.Int64N(20_000)
	o.MaxChannels = 2 + r.IntN(8)
	if r.IntN(2) == 0 {
		o.Replay.Age = time.Duration(1 + r.IntN(20_000_000))
	}
	return o
}

// mergeParts returns the rules by which messages on topic parts are held as one.
func mergeParts(t testing.TB) *schemas.MergeRules {
	t.Helper()
	def := must(schemas.ParseDefinition("c", []byte(`{"topics":{"parts":{"merge":{"append":"/delta","key":["/type","/id"]}}}}`)))
	catalog := schemas.NewCatalog(schemas.Limits{})
	if err := catalog.Put(def); err != nil {
		t.Fatal(err)
	}
	return catalog.For("c").Merge()
}

func pace(r *rand.Rand) time.Duration {
	return []time.Duration{-1, 50 * time.Microsecond, time.Millisecond}[r.IntN(3)]
}

func channels() []schemas.Channel {
	return []schemas.Channel{"a:1", "a:2", "a:b:1", "b:1", "b:2", "c", "d", "a:b:2"}
}

func topics() []schemas.Topic { return []schemas.Topic{"status", "tokens", "log"} }

// round is one broker with its publishers and clients.
type round struct {
	weather
	t       *testing.T
	broker  *broker.Broker
	oracle  *oracle
	clients []*client
	rands   func() *rand.Rand
	repro   string

	mu       sync.Mutex
	receipts map[string]schemas.Receipt // of durable publishes

	tokens atomic.Int64
}

func newRound(t *testing.T, w weather, seed, n uint64) *round {
	source := rand.New(rand.NewPCG(seed, n))
	r := &round{
		weather: w, t: t, oracle: newOracle(), receipts: make(map[string]schemas.Receipt),
		rands: func() *rand.Rand { return rand.New(rand.NewPCG(source.Uint64(), n)) },
	}
	opts := w.opts(r.rands())
	opts.PublishTimeout = patient
	opts.Heartbeat = 10 * patient // it would wake a reader that was not notified
	if opts.Replay.Merge = mergeParts(t); source.IntN(2) == 0 {
		opts.MaxEventBytes = 500 + source.IntN(600)
	}
	r.repro = fmt.Sprintf("SLUICE_SEED=%d, round %d (%s), %+v", seed, n, w.name, opts)
	r.broker = must(broker.New(opts))
	for range 6 {
		random := r.rands()
		c := &client{
			broker: r.broker, oracle: r.oracle, rand: random, calm: w.calm, inTurn: make(map[uint64]bool),
			format: ring.Format(random.IntN(5) / 4), wired: r.broker.HasLoops() && random.IntN(2) == 0,
		}
		c.replay = []string{"none", "none", "all", "latest", "3"}[random.IntN(5)]
		c.selectors, c.whole = selectors(random), w.kept
		r.clients = append(r.clients, c)
	}
	return r
}

// selectors returns a channel, several, a pattern, or a mix; with and without
// topics.
func selectors(r *rand.Rand) []broker.Selector {
	patterns := []schemas.Pattern{"*", "a:*", "a:b:*", "b:*"}
	n := 1
	if r.IntN(2) == 0 {
		n += r.IntN(3)
	}
	list := make([]broker.Selector, n)
	for i := range list {
		list[i].Channel = schemas.Pattern(channels()[r.IntN(len(channels()))])
		if r.IntN(3) == 0 {
			list[i].Channel = patterns[r.IntN(len(patterns))]
		}
		if r.IntN(3) == 0 {
			list[i].Topics = schemas.NewTopicSet([]string{string(append(topics(), "parts")[r.IntN(4)])})
		}
	}
	return list
}

func (r *round) run() {
	defer r.broker.Close()
	reading, stop := context.WithCancel(r.t.Context())
	var publishers, readers sync.WaitGroup
	for range 4 {
		random := r.rands()
		publishers.Go(func() { r.publish(random, 250) })
	}
	for _, c := range r.clients {
		late := c.rand.IntN(300)
		readers.Go(func() {
			r.oracle.awaitMore(late)
			c.live(reading)
		})
	}
	publishers.Wait()
	r.oracle.finish()
	stop()
	readers.Wait()
	end, cancel := context.WithTimeout(r.t.Context(), patient)
	defer cancel()
	for _, c := range r.clients {
		c.drain(end)
		r.judge(c)
		if c.stream != nil {
			c.stream.close()
		}
	}
	for _, channel := range channels() {
		_ = r.broker.Delete(r.t.Context(), channel) // it may not be there
	}
	if n := r.broker.Stats().LogBytes; n != 0 {
		r.t.Errorf("%s: %d bytes are counted in logs of which none is left", r.repro, n)
	}
}

// publish publishes n messages, and does now and then what else can happen.
func (r *round) publish(random *rand.Rand, n int) {
	var open []*openText
	for i := range n {
		channel := channels()[random.IntN(len(channels()))]
		switch what := random.IntN(100); {
		case what < 5:
			r.setRun(random, channel)
		case what < 10:
			r.durable(random, channel, i)
		case what < 12 && r.delete:
			_ = r.broker.Delete(context.Background(), channel) // it may not be there
		case what < 15:
			r.broker.DropExpired(time.Now())
		case what < 55:
			open = r.writeText(random, channel, open)
		case what < 75:
			r.putPart(random, channel)
		default:
			r.put(broker.Publication{Channel: channel, Topic: topics()[random.IntN(3)], Data: []byte(`"x"`)}, part{})
		}
		for range random.IntN(20) {
			runtime.Gosched()
		}
	}
}

// openText is a text that grows.
type openText struct {
	p      broker.Publication
	offset int64
}

// writeText begins a text, adds to one of the open ones, or ends it.
func (r *round) writeText(random *rand.Rand, channel schemas.Channel, open []*openText) []*openText {
	if n := random.IntN(3 + len(open)*8); n < 1 || len(open) == 0 {
		id := fmt.Sprint("s", r.tokens.Add(1))
		x := &openText{p: broker.Publication{Channel: channel, Topic: topics()[random.IntN(3)], Kind: schemas.KindStreamStart, StreamID: id, Data: []byte(`{}`)}}
		r.put(x.p, part{of: id})
		return append(open, x)
	}
	i := random.IntN(len(open))
	x := open[i]
	if random.IntN(20) == 0 {
		x.p.Kind, x.p.Data = schemas.KindStreamEnd, []byte(`{}`)
		r.put(x.p, part{of: x.p.StreamID})
		return slices.Delete(open, i, i+1)
	}
	for range 1 + random.IntN(4) {
		token := r.token()
		x.p.Kind, x.p.Data, x.p.Offset = schemas.KindChunk, []byte(`"`+token+`"`), x.offset
		r.put(x.p, part{x.p.StreamID, token, x.offset})
		x.offset += tokenBytes
	}
	return open
}

// putPart publishes messages that are held as one.
func (r *round) putPart(random *rand.Rand, channel schemas.Channel) {
	id := random.IntN(2)
	for range 1 + random.IntN(4) {
		token := r.token()
		data := fmt.Sprintf(`{"type":"a","id":%d,"delta":"%s"}`, id, token)
		r.put(broker.Publication{Channel: channel, Topic: "parts", Data: []byte(data)}, part{of: string(channel), token: token})
	}
}

// token returns a text that no other message has.
func (r *round) token() string { return fmt.Sprintf("%*d", tokenBytes, r.tokens.Add(1)) }

func (r *round) put(p broker.Publication, of part) schemas.Receipt {
	receipt, err := r.broker.Publish(r.t.Context(), p)
	switch {
	case errors.Is(err, broker.ErrTooManyChannels):
	case err != nil:
		r.t.Error(err)
	case !receipt.Duplicate:
		r.oracle.note(receipt, of)
	}
	return receipt
}

func (r *round) setRun(random *rand.Rand, channel schemas.Channel) {
	change := schemas.RunChange{
		Status: []schemas.RunStatus{schemas.RunRunning, schemas.RunCompleted, schemas.RunFailed}[random.IntN(3)],
		RunID:  fmt.Sprint("run", random.IntN(20)),
	}
	receipt, err := r.broker.SetRun(r.t.Context(), broker.RunPublication{Channel: channel, Change: change})
	if err == nil && !receipt.Duplicate {
		r.oracle.note(receipt, part{})
	}
}

// durable publishes under a key that others may use at the same moment.
func (r *round) durable(random *rand.Rand, channel schemas.Channel, i int) {
	p := broker.Publication{Channel: channel, Topic: topics()[random.IntN(3)], Data: []byte(`1`), Key: fmt.Sprint(i / 10)}
	receipt := r.put(p, part{})
	if receipt.ID.Seq == 0 {
		return // no place for its channel
	}
	receipt.Duplicate = false
	name := fmt.Sprint(p.Channel, " ", p.Topic, " ", p.Key)
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, ok := r.receipts[name]; ok && first != receipt {
		r.t.Errorf("%s: published as %v and as %v", name, first, receipt)
	}
	r.receipts[name] = receipt
}

func (r *round) judge(c *client) {
	c.misplaced(r.oracle, &c.faults)
	if missing := c.missing(r.oracle, r.broker.Head("c").Seq); len(missing) > 0 {
		c.faults.add("%d messages are missing, %+v first", len(missing), missing[0])
	}
	if r.kept {
		if gaps := c.gaps(); len(gaps) > 0 {
			c.faults.add("nothing is lost, and yet: %+v", gaps)
		}
	}
	if r.kept && !r.calm && c.format == ring.SSE {
		if unsaid := c.unsaidRuns(r.oracle); len(unsaid) > 0 {
			c.faults.add("was not told of run status %+v", unsaid)
		}
	}
	for _, fault := range c.faults {
		r.t.Errorf("%s\nclient %v, replay %s, %s, %d connections: %s", r.repro, c.selectors, c.replay, c.format, len(c.connections), fault)
	}
}
