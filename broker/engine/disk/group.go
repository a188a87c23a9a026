package disk

import (
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/schemas"
)

// group is a set of changes that are written together, as one record of the journal and
// one batch of the database. The committer owns the only group and reuses it.
type group struct {
	e       *Engine
	batch   *pebble.Batch
	state   state // after the group
	now     int64 // ms
	durable bool  // the group must be on the disk before it is acknowledged
	applied bool  // the group took effect, even if a sync failed afterwards
	probe   bool  // the group is written even if it is empty

	entries []*request                           // publishes, in the order of their positions
	touched []*meta                              // channels that the group changes
	gone    []schemas.Channel                    // channels that the group removes entirely
	keys    map[keyHash]*request                 // durable publishes of the group
	runs    map[schemas.Channel]*schemas.Message // latest run message that the group adds
	cells   map[uint16]uint64                    // changed cells, see forget
	fences  map[keyHash]fence                    // records of texts that the group sets
	long    []longText                           // texts that have become too long
	grown   []grown                              // pieces that were merged into segments
	ended   []endedMerge                         // messages that cease to be merged with others
	hashes  []byte                               // key hashes of the durable publishes
	buf     []byte
	dropped int64 // messages dropped to enforce MaxBytes
	drops   bool  // the group deletes something
	told    bool  // the group adds to the outbox
}

// begin empties g for the next group.
func (g *group) begin(db *pebble.DB) {
	for _, c := range g.touched {
		c.touched, c.losses = false, nil
	}
	clear(g.entries)
	clear(g.touched)
	clear(g.long)
	clear(g.grown)
	clear(g.ended)
	clear(g.keys)
	clear(g.runs)
	clear(g.cells)
	clear(g.fences)
	batch := g.batch
	if batch == nil {
		batch = db.NewBatch()
	} else {
		batch.Reset()
	}
	*g = group{
		e: g.e, batch: batch, state: g.e.state, now: time.Now().UnixMilli(),
		entries: g.entries[:0], touched: g.touched[:0], gone: g.gone[:0], keys: g.keys, runs: g.runs, cells: g.cells,
		fences: g.fences, long: g.long[:0], grown: g.grown[:0], ended: g.ended[:0], hashes: g.hashes[:0], buf: g.buf[:0],
	}
	// If the clock was set back, this group's entries in the expiry index may be due earlier.
	g.e.tended = min(g.e.tended, g.now)
	if g.keys == nil {
		g.keys, g.runs, g.cells = map[keyHash]*request{}, map[schemas.Channel]*schemas.Message{}, map[uint16]uint64{}
		g.fences = map[keyHash]fence{}
	}
}

// admit checks r without changing anything. It reports whether r has its answer already,
// because its key was published before or because it is refused.
func (g *group) admit(r *request) (answered bool, err error) {
	if r.set != nil {
		r.set.was, answered, err = g.checkFence(r, r.set.revision)
		return answered, err
	}
	e := &r.entry
	if e.Key != "" {
		if known, err := g.known(r); known || err != nil {
			return known, err
		}
	}
	if e.Fence != 0 {
		if _, refused, err := g.checkFence(r, e.Fence); refused || err != nil {
			return refused, err
		}
	}
	if e.Kind == schemas.KindRun {
		if answered, err := g.checkRun(r); answered || err != nil {
			return answered, err
		}
	}
	// Do every read that can fail before the first change.
	if r.meta, err = g.meta(e.Channel, true); err == nil {
		err = g.loadTexts(r.meta)
	}
	return false, err
}

// add adds r to the group. admit has accepted it.
func (g *group) add(r *request) error {
	if r.set != nil {
		return g.setText(r)
	}
	e := &r.entry
	g.state.head++
	e.ID = schemas.ID{Epoch: g.e.epoch, Seq: g.state.head}
	e.CreatedAt = schemas.Time(g.now)
	if err := g.put(r); err != nil {
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

// put writes a message and updates its channel.
func (g *group) put(r *request) error {
	c, m := r.meta, &r.entry.Message
	before := c.count
	c.limits = r.entry.Limits
	c.last, c.newest = m.ID.Seq, g.now
	c.idle = 0
	merged := g.continued(r)
	var err error
	switch {
	case m.Piece():
		err = g.putPiece(c, m)
	case r.merges:
		err = g.putMerged(r, merged)
	default:
		g.buf = appendMessage(g.buf[:0], m)
		err = g.putMessage(c, m)
		c.count++
	}
	if err != nil {
		return err
	}
	if m.Kind == schemas.KindRun {
		c.runSeq, c.runAt = m.ID.Seq, g.now
		g.runs[m.Channel] = m
		g.durable = true
		if err := g.batch.Set(runKey(m.Channel), g.buf, nil); err != nil {
			return err
		}
		if g.e.opts.Outbox {
			if err := g.tell(r); err != nil {
				return err
			}
		}
	}
	if before == 0 {
		c.first, c.oldest = m.ID.Seq, g.now
	}
	if c.due == 0 || before == 0 {
		return g.schedule(c)
	}
	return nil
}

// putMessage writes a message whose value is in g.buf.
func (g *group) putMessage(c *meta, m *schemas.Message) error {
	op := g.batch.SetDeferred(1+len(m.Channel)+1+8, len(g.buf))
	messageKey(op.Key[:0], m.Channel, m.ID.Seq)
	copy(op.Value, g.buf)
	g.grow(c, int64(len(g.buf)))
	return op.Finish()
}

// grow accounts for bytes that a channel has more.
func (g *group) grow(c *meta, bytes int64) {
	c.bytes += bytes
	g.state.bytes += bytes
}

// known reports whether the key of r was published before, and if so gives r the first
// receipt.
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

// remember stores the receipt of r under its key.
func (g *group) remember(r *request) error {
	g.keys[r.hash] = r
	g.hashes = append(g.hashes, r.hash[:]...)
	g.state.remembered++
	g.durable = true
	first := receipt{kind: r.entry.Kind, seq: r.entry.ID.Seq, at: r.entry.CreatedAt}
	return g.batch.Set(receiptKey(r.hash), first.append(g.buf[:0]), nil)
}

// checkRun checks the run message of r against the latest one of its channel. It reports
// whether r has its answer already: an error, or the receipt of the message that it repeats.
func (g *group) checkRun(r *request) (answered bool, err error) {
	name := r.entry.Channel
	latest := g.runs[name]
	if latest == nil {
		latest, err = g.e.readRun(current{g.e.db()}, name, g.now)
		if err != nil {
			return false, err
		}
	}
	var repeated *schemas.Receipt
	if repeated, r.err = r.entry.CheckRun(latest); repeated != nil {
		r.receipt = *repeated
	}
	return repeated != nil || r.err != nil, nil
}

// finish completes the batch: it trims the channels that grew too large and writes the
// channels' metadata and the state. It reports whether there is anything to commit.
func (g *group) finish() (bool, error) {
	if err := g.shorten(); err != nil {
		return false, err
	}
	for _, c := range g.touched {
		if c.overfull() {
			if err := g.trim(c); err != nil {
				return false, err
			}
		}
	}
	if err := g.storeEnded(); err != nil {
		return false, err
	}
	if len(g.hashes) > 0 {
		at := g.now + g.e.opts.RememberFor.Milliseconds()
		key := appendNumber(expiryKey(at, lookKeys), g.state.record+1)
		if err := g.batch.Set(key, g.hashes, nil); err != nil {
			return false, err
		}
	}
	for _, c := range g.touched {
		if err := g.storeLosses(c); err != nil {
			return false, err
		}
		g.buf = c.append(g.buf[:0])
		if err := g.batch.Set(channelKey(c.name), g.buf, nil); err != nil {
			return false, err
		}
	}
	for _, name := range g.gone {
		if err := firstOf(g.batch.Delete(channelKey(name), nil), g.batch.Delete(lossesKey(name), nil)); err != nil {
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
	g.state.at = g.now
	return true, g.batch.Set(systemKey(systemState), g.state.append(g.buf[:0]), nil)
}
