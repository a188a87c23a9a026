package disk

import (
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// group is what is written together: one record of the journal, one batch of the
// database. The committer owns it, and uses it again for the next group.
type group struct {
	e       *Engine
	batch   *pebble.Batch
	state   state // after the group
	now     int64
	durable bool // must be on the disk before it is acknowledged
	applied bool // it took effect, whatever else went wrong
	probe   bool // is written even if there is nothing in it

	entries []*request                           // in the order of their positions
	touched []*meta                              // channels that are changed
	gone    []schemas.Channel                    // channels of which no trace is left
	keys    map[keyHash]*request                 // durable publishes of the group
	runs    map[schemas.Channel]*schemas.Message // run messages of the group
	cells   map[uint16]uint64                    // of the forgotten that are changed
	hashes  []byte                               // of the durable publishes
	buf     []byte
	dropped int64 // messages dropped before their time
}

// begin makes g ready for a new group.
func (g *group) begin(db *pebble.DB) {
	for _, c := range g.touched {
		c.touched = false
	}
	clear(g.entries)
	clear(g.touched)
	clear(g.keys)
	clear(g.runs)
	clear(g.cells)
	batch := g.batch
	if batch == nil {
		batch = db.NewBatch()
	} else {
		batch.Reset()
	}
	*g = group{
		e: g.e, batch: batch, state: g.e.state, now: time.Now().UnixMilli(),
		entries: g.entries[:0], touched: g.touched[:0], gone: g.gone[:0], keys: g.keys, runs: g.runs, cells: g.cells,
		hashes: g.hashes[:0], buf: g.buf[:0],
	}
	if g.keys == nil {
		g.keys, g.runs, g.cells = map[keyHash]*request{}, map[schemas.Channel]*schemas.Message{}, map[uint16]uint64{}
	}
}

// admit reports whether r is answered already: it was published before, or is
// refused. It reads and changes nothing.
func (g *group) admit(r *request) (answered bool, err error) {
	e := &r.entry
	if e.Key != "" {
		if known, err := g.known(r); known || err != nil {
			return known, err
		}
	}
	if e.Kind == schemas.KindRun {
		if first, err := g.follows(r); first || err != nil {
			return first, err
		}
	}
	// All that can fail is read before the first change.
	r.meta, err = g.meta(e.Channel, true)
	return false, err
}

// add takes r, which was admitted, into the group.
func (g *group) add(r *request) error {
	e := &r.entry
	g.state.head++
	e.ID = schemas.ID{Epoch: g.e.epoch, Seq: g.state.head}
	e.CreatedAt = schemas.Time(g.now)
	if err := g.put(r.meta, &e.Message, e.Limits); err != nil {
		return err
	}
	r.receipt = schemas.Receipt{
		ID: e.ID, Channel: e.Channel, Topic: e.Topic, Kind: e.Kind, CreatedAt: e.CreatedAt, Durable: e.Key != "",
	}
	g.entries = append(g.entries, r)
	if e.Key != "" {
		return g.remember(r)
	}
	return nil
}

// put writes a message.
func (g *group) put(c *meta, m *schemas.Message, limits broker.Limits) error {
	g.buf = appendMessage(g.buf[:0], m)
	size := int64(len(g.buf))
	op := g.batch.SetDeferred(1+len(m.Channel)+1+8, len(g.buf))
	messageKey(op.Key[:0], m.Channel, m.ID.Seq)
	copy(op.Value, g.buf)
	if err := op.Finish(); err != nil {
		return err
	}
	c.limits = limits
	c.last, c.newest = m.ID.Seq, g.now
	c.idle = 0
	c.bytes += size
	g.state.bytes += size
	if c.count++; c.count == 1 {
		c.first, c.oldest = m.ID.Seq, g.now
	}
	if m.Kind == schemas.KindRun {
		c.runSeq, c.runAt = m.ID.Seq, g.now
		g.runs[m.Channel] = m
		g.durable = true
		if err := g.batch.Set(runKey(m.Channel), g.buf, nil); err != nil {
			return err
		}
	}
	if c.due == 0 || c.count == 1 {
		return g.schedule(c)
	}
	return nil
}

// known answers r if its key was published before.
func (g *group) known(r *request) (bool, error) {
	if first := g.keys[r.hash]; first != nil {
		r.receipt = first.receipt
		r.receipt.Duplicate = true
		g.e.stats.replayed.Add(1)
		return true, nil
	}
	if !g.e.filter.has(r.hash) {
		return false, nil
	}
	first, found, err := g.e.recall(g.e.db(), &r.entry.Message, r.hash)
	if found {
		r.receipt = first
		g.e.stats.replayed.Add(1)
	}
	return found, err
}

// remember notes the receipt of r under its key.
func (g *group) remember(r *request) error {
	g.keys[r.hash] = r
	g.hashes = append(g.hashes, r.hash[:]...)
	g.state.remembered++
	g.durable = true
	first := receipt{kind: r.entry.Kind, seq: r.entry.ID.Seq, at: r.entry.CreatedAt}
	return g.batch.Set(receiptKey(nil, r.hash), first.append(g.buf[:0]), nil)
}

// follows asks whether the run message of r may come after the latest one. first
// says that it is answered with that one's receipt.
func (g *group) follows(r *request) (first bool, err error) {
	name := r.entry.Channel
	latest := g.runs[name]
	if latest == nil {
		latest, err = g.e.readRun(g.e.db(), name, g.now)
		if err != nil {
			return false, err
		}
	}
	var repeated *schemas.Receipt
	if repeated, r.err = r.entry.Follow(latest); repeated != nil {
		r.receipt = *repeated
	}
	return repeated != nil || r.err != nil, nil
}

// finish adds what goes with every group. It reports whether there is anything to
// write.
func (g *group) finish() (bool, error) {
	for _, c := range g.touched {
		if c.over() {
			if err := g.trim(c); err != nil {
				return false, err
			}
		}
	}
	if len(g.hashes) > 0 {
		at := g.now + g.e.opts.RememberFor.Milliseconds()
		key := appendNumber(agendaKey(at, lookKeys), g.state.record+1)
		if err := g.batch.Set(key, g.hashes, nil); err != nil {
			return false, err
		}
	}
	for _, c := range g.touched {
		g.buf = c.append(g.buf[:0])
		if err := g.batch.Set(channelKey(c.name), g.buf, nil); err != nil {
			return false, err
		}
	}
	for _, name := range g.gone {
		if err := g.batch.Delete(channelKey(name), nil); err != nil {
			return false, err
		}
	}
	if g.batch.Empty() && !g.probe {
		return false, nil
	}
	if g.state.head > g.state.reserved {
		g.state.reserved = g.state.head + reserveAhead
		g.durable = true
	}
	g.state.record++
	return true, g.batch.Set(systemKey(systemState), g.state.append(g.buf[:0]), nil)
}
