package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// The metadata of a channel says up to which position messages are lost. Of which topics they
// were is in an entry of its own (tableLosses), so that a reader of other topics is told of
// no loss. It changes only when something is dropped; the metadata, with every group. A
// channel without an entry may have lost messages of every topic, and so may one whose
// messages were dropped before format 3.

// readLosses reads what is lost of a channel.
func readLosses(db getter, c *meta) (engine.Losses, error) {
	l := engine.AllLost(c.lost)
	_, err := db.get(lossesKey(c.name), func(b []byte) error {
		d := decoder{rest: b}
		d.version(version)
		l.Every = d.number()
		for d.err == nil && len(d.rest) > 0 {
			l.AddBeginning(schemas.Topic(d.text()), d.number())
		}
		return d.end()
	})
	return l, err
}

// losses returns what is lost of a channel, for the group to add to.
func (g *group) losses(c *meta) (*engine.Losses, error) {
	if c.losses == nil {
		l, err := readLosses(current{g.e.db()}, c)
		if err != nil {
			return nil, err
		}
		c.losses = &l
	}
	return c.losses, nil
}

// storeLosses writes what the group has lost of a channel, if it has.
func (g *group) storeLosses(c *meta) error {
	l := c.losses
	switch {
	case l == nil:
		return nil
	case len(l.Topics) == 0 && l.Every == c.lost:
		return g.batch.Delete(lossesKey(c.name), nil)
	}
	b := binary.AppendUvarint(append(g.buf[:0], version), l.Every)
	for topic, seq := range l.Topics {
		b = binary.AppendUvarint(appendText(b, string(topic)), seq)
	}
	g.buf = b
	return g.batch.Set(lossesKey(c.name), b, nil)
}

// When the last trace of a channel is removed, one thing is still needed: a reader that
// resumes after an old position must be told of a gap. So the channel's last position is
// recorded under its name and under every pattern that matches it.
//
// To bound their number, the records are 65,536 cells, and names with the same hash share a
// cell. A cell can therefore announce a loss that another channel had. It never hides one.

func cellOf(name string) uint16 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint16(sum[:])
}

func cellKey(cell uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{tableForgotten}, cell)
}

// readLost returns the position in a cell.
func readLost(db getter, cell uint16) (uint64, error) {
	var lost uint64
	_, err := db.get(cellKey(cell), func(b []byte) error {
		d := decoder{rest: b}
		d.version(version)
		lost = d.number()
		return d.end()
	})
	return lost, err
}

// forget records that a channel with messages up to seq is gone.
func (g *group) forget(name schemas.Channel, seq uint64) error {
	cells := []uint16{cellOf(string(name)), cellOf("*")}
	for i := range len(name) - 1 { // a colon at the end has nothing below it
		if name[i] == ':' {
			cells = append(cells, cellOf(string(name[:i+1])+"*"))
		}
	}
	for _, cell := range cells {
		have, ok := g.cells[cell]
		if !ok {
			var err error
			if have, err = readLost(current{g.e.db()}, cell); err != nil {
				return err
			}
		}
		if have >= seq {
			continue
		}
		g.cells[cell] = seq
		if err := g.batch.Set(cellKey(cell), binary.AppendUvarint([]byte{version}, seq), nil); err != nil {
			return err
		}
	}
	return nil
}

// get reads the value of a key, decodes it, and reports whether there is one. An error of
// decode is wrapped so that it names the key.
func get(db pebble.Reader, key []byte, decode func([]byte) error) (found bool, err error) {
	value, closer, err := db.Get(key)
	if err == pebble.ErrNotFound { //nolint:errorlint // Get returns it unwrapped
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = decode(value)
	if err != nil {
		err = errorAt(key, err)
	}
	return true, firstOf(err, closer.Close())
}

// errorAt adds to err which value cannot be decoded.
func errorAt(key []byte, err error) error { return fmt.Errorf("value of %s: %w", describe(key), err) }

// describe returns a key in readable form.
func describe(key []byte) string {
	return fmt.Sprintf("key %q", strings.ToValidUTF8(string(key), "\uFFFD"))
}
