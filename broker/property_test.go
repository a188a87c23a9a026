package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// weather is what a round of the property test is like.
type weather struct {
	name   string
	opts   func(*rand.Rand) broker.Options
	calm   bool // clients read on all the time
	kept   bool // nothing is ever dropped, so nobody may hear of a gap
	delete bool // channels are deleted
}

// TestStream_everythingOnceOrToldOf lets publishers and readers loose on each
// other, over and over for about three seconds, or for SLUICE_SOAK. Every reader
// must have received, over its whole life, everything that it asked for, once
// and in order, or have been told of the loss.
//
// SLUICE_SEED repeats the rounds of a failed run, as far as goroutines do.
func TestStream_everythingOnceOrToldOf(t *testing.T) {
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
	rounds, gaps, received, wires := 0, 0, 0, 0
	for ; time.Now().Before(until) && !t.Failed(); rounds++ {
		w := weathers[rounds%len(weathers)]
		r := newRound(t, w, seed, uint64(rounds))
		r.run()
		for _, c := range r.clients {
			gaps += len(c.gaps())
			received += len(c.inTurn)
			if c.wired {
				wires++
			}
		}
	}
	t.Logf("SLUICE_SEED=%d: %d rounds, %d messages received, %d gaps told, %d readers over connections", seed, rounds, received, gaps, wires)
	if gaps == 0 || received == 0 || wires == 0 {
		t.Error("the rounds show nothing: no message or no gap")
	}
}

func roomy(r *rand.Rand) broker.Options {
	return broker.Options{Replay: broker.Limits{Messages: 1 << 20, Bytes: 1 << 30}, Pace: pace(r)}
}

func held(r *rand.Rand) broker.Options {
	return broker.Options{Replay: broker.Limits{Messages: 1 + r.IntN(8)}, Pace: pace(r)}
}

func short(r *rand.Rand) broker.Options {
	o := held(r)
	o.Hold = 1 + r.Int64N(2000)
	if r.IntN(2) == 0 {
		o.Replay.Bytes = 1 + r.Int64N(2000)
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
}

func newRound(t *testing.T, w weather, seed, n uint64) *round {
	source := rand.New(rand.NewPCG(seed, n))
	r := &round{
		weather: w, t: t, oracle: newOracle(), receipts: make(map[string]schemas.Receipt),
		rands: func() *rand.Rand { return rand.New(rand.NewPCG(source.Uint64(), n)) },
	}
	opts := w.opts(r.rands())
	r.repro = fmt.Sprintf("SLUICE_SEED=%d, round %d (%s), %+v", seed, n, w.name, opts)
	r.broker = must(broker.New(opts))
	for range 6 {
		random := r.rands()
		c := &client{
			broker: r.broker, oracle: r.oracle, rand: random, calm: w.calm, inTurn: make(map[uint64]bool),
			format: broker.Format(random.IntN(5) / 4), wired: r.broker.TakesOver() && random.IntN(2) == 0,
		}
		c.replay = []string{"none", "none", "all", "latest", "3"}[random.IntN(5)]
		c.selectors = selectors(random)
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
			list[i].Topics = schemas.NewTopicSet([]string{string(topics()[r.IntN(3)])})
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
	// A heartbeat would wake a reader that was not told: the time is shorter.
	end, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	for _, c := range r.clients {
		c.drain(end)
		r.judge(c)
		if c.stream != nil {
			c.stream.close()
		}
	}
}

// publish publishes n messages, and does now and then what else can happen.
func (r *round) publish(random *rand.Rand, n int) {
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
			r.broker.Sweep(time.Now())
		default:
			r.put(broker.Publication{Channel: channel, Topic: topics()[random.IntN(3)], Data: []byte(`"x"`)})
		}
		for range random.IntN(20) {
			runtime.Gosched()
		}
	}
}

func (r *round) put(p broker.Publication) schemas.Receipt {
	receipt, err := r.broker.Publish(r.t.Context(), p)
	switch {
	case errors.Is(err, broker.ErrTooManyChannels):
	case err != nil:
		r.t.Error(err)
	case !receipt.Duplicate:
		r.oracle.note(receipt)
	}
	return receipt
}

func (r *round) setRun(random *rand.Rand, channel schemas.Channel) {
	change := broker.RunChange{
		Status: []broker.RunStatus{broker.RunRunning, broker.RunCompleted, broker.RunFailed}[random.IntN(3)],
		RunID:  fmt.Sprint("run", random.IntN(20)),
	}
	receipt, err := r.broker.SetRun(r.t.Context(), channel, change, broker.Limits{})
	if err == nil && !receipt.Duplicate {
		r.oracle.note(receipt)
	}
}

// durable publishes under a key that others may use at the same moment.
func (r *round) durable(random *rand.Rand, channel schemas.Channel, i int) {
	p := broker.Publication{Channel: channel, Topic: topics()[random.IntN(3)], Data: []byte(`1`), Key: fmt.Sprint(i / 10)}
	receipt := r.put(p)
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
	if missing := c.missing(r.oracle, r.broker.Last().Seq); len(missing) > 0 {
		c.faults.add("%d messages are missing, %+v first", len(missing), missing[0])
	}
	if r.kept {
		if gaps := c.gaps(); len(gaps) > 0 {
			c.faults.add("nothing is lost, and yet: %+v", gaps)
		}
	}
	if r.kept && !r.calm && c.format == broker.SSE {
		if unsaid := c.unsaidRuns(r.oracle); len(unsaid) > 0 {
			c.faults.add("was not told of run status %+v", unsaid)
		}
	}
	for _, fault := range c.faults {
		r.t.Errorf("%s\nclient %v, replay %s, %s, %d connections: %s", r.repro, c.selectors, c.replay, c.format, len(c.connections), fault)
	}
}
