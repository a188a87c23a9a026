package disk

import (
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// Outbox is an [outbox.Store] in the directory of an engine. The end of a run is in the same
// group as its message, so after whatever end of the process either both are there or
// neither is. Outcomes are not synced: after a power failure an event may be sent again.
//
// An event stands at its position. What somebody is through with has an entry at the same
// position with the name of that somebody behind it, so the two are read and removed together.
type Outbox struct {
	e    *Engine
	news chan struct{} // capacity 1
}

var _ outbox.Store = (*Outbox)(nil)

// Outbox returns the outbox in the same directory. It works between Start and Close. Ends of
// runs are in it only with [Options.Outbox].
func (e *Engine) Outbox() *Outbox { return &e.outbox }

// Lead implements [outbox.Store]: only one process has the directory.
func (*Outbox) Lead(ctx context.Context) (context.Context, func(), error) {
	leading, resign := context.WithCancel(ctx)
	return leading, resign, ctx.Err()
}

// News implements [outbox.Store].
func (o *Outbox) News() <-chan struct{} { return o.news }

// poke says that there may be news.
func (o *Outbox) poke() {
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// Occupied implements [outbox.Store].
func (o *Outbox) Occupied(ctx context.Context) (names []schemas.Channel, err error) {
	err = o.e.read(ctx, func(db pebble.Reader) error {
		iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableOccupied}, UpperBound: []byte{tableOccupied + 1}})
		if err != nil {
			return err
		}
		for ok := iter.First(); ok; ok = iter.Next() {
			names = append(names, schemas.Channel(iter.Key()[1:]))
		}
		return firstOf(iter.Error(), iter.Close())
	})
	return names, err
}

// Read implements [outbox.Store].
func (o *Outbox) Read(ctx context.Context, after uint64, limit int) (events []outbox.Event, err error) {
	err = o.e.read(ctx, func(db pebble.Reader) error {
		iter, err := db.NewIter(&pebble.IterOptions{LowerBound: eventKey(after+1, ""), UpperBound: []byte{tableEvents + 1}})
		if err != nil {
			return err
		}
		for ok := iter.First(); ok; ok = iter.Next() {
			position, by := binary.BigEndian.Uint64(iter.Key()[1:]), string(iter.Key()[eventKeyBytes:])
			last := len(events) - 1
			switch {
			case by == "" && len(events) == limit:
				return firstOf(iter.Error(), iter.Close())
			case by == "":
				e, err := outbox.Decode(iter.Value())
				if err != nil {
					continue // whatever it is, the others must not wait behind it
				}
				e.ID = schemas.ID{Epoch: o.e.epoch, Seq: position}
				events = append(events, e)
			case last >= 0 && events[last].ID.Seq == position:
				events[last].Through = append(events[last].Through, by)
			}
		}
		return firstOf(iter.Error(), iter.Close())
	})
	return events, err
}

// Settle implements [outbox.Store].
func (o *Outbox) Settle(ctx context.Context, outcomes []outbox.Outcome) error {
	return o.e.freeSpace(ctx, func(g *group) error {
		for _, outcome := range outcomes {
			var err error
			if key := eventKey(outcome.Position, outcome.By); outcome.By != "" {
				err = g.batch.Set(key, nil, nil)
			} else {
				err = g.batch.DeleteRange(key, eventKey(outcome.Position+1, ""), nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Add implements [outbox.Store]. Together with [outbox.ChannelOccupied] and
// [outbox.ChannelVacated], it sets whether the channel is occupied.
func (o *Outbox) Add(ctx context.Context, e outbox.Event) error {
	return o.e.do(ctx, func(g *group) (err error) {
		switch occupied := append([]byte{tableOccupied}, e.Channel...); e.Type {
		case outbox.ChannelOccupied:
			err = g.batch.Set(occupied, nil, nil)
		case outbox.ChannelVacated:
			err = g.batch.Delete(occupied, nil)
		}
		g.durable = true
		g.state.head++
		return firstOf(err, g.putEvent(g.state.head, &e))
	})
}

// tell puts the end of a run into the outbox, at the position of its message.
func (g *group) tell(r *request) error {
	e, ended := outbox.OfRun(&r.entry.Message, r.entry.Run)
	if !ended {
		return nil
	}
	return g.putEvent(r.entry.ID.Seq, &e)
}

func (g *group) putEvent(position uint64, e *outbox.Event) error {
	g.told = true
	return g.batch.Set(eventKey(position, ""), e.Encode(), nil)
}

const eventKeyBytes = 1 + 8

// eventKey returns the key of an event, or of the entry that somebody is through with it.
func eventKey(position uint64, by string) []byte {
	key := append(make([]byte, 0, eventKeyBytes+len(by)), tableEvents)
	return append(binary.BigEndian.AppendUint64(key, position), by...)
}
