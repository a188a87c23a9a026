package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/schemas"
)

// Of channels that are wholly gone it is remembered, in 65,536 cells, up to which
// position they had messages: under their name and every pattern that names them.
// A cell is shared by all names of one hash. It may announce a loss that was another
// channel's, and never hides one.

func cellOf(name string) uint16 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint16(sum[:])
}

func cellKey(cell uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{tableForgotten}, cell)
}

// readLost returns the position in a cell.
func readLost(db pebble.Reader, cell uint16) (uint64, error) {
	var lost uint64
	_, err := get(db, cellKey(cell), func(b []byte) error {
		d := decoder{rest: b}
		d.version()
		lost = d.number()
		return d.end()
	})
	return lost, err
}

// forget notes that the channel is gone, which had messages up to seq.
func (g *group) forget(name schemas.Channel, seq uint64) error {
	cells := []uint16{cellOf(string(name)), cellOf("*")}
	for i := range len(name) - 1 { // nothing is below a colon at the end
		if name[i] == ':' {
			cells = append(cells, cellOf(string(name[:i+1])+"*"))
		}
	}
	for _, cell := range cells {
		have, ok := g.cells[cell]
		if !ok {
			var err error
			if have, err = readLost(g.e.db(), cell); err != nil {
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

// get calls decode with the value of a key, and reports whether there is one. An
// error of decode names the key.
func get(db pebble.Reader, key []byte, decode func([]byte) error) (found bool, err error) {
	value, closer, err := db.Get(key)
	if err == pebble.ErrNotFound { //nolint:errorlint // Get returns it as it is
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

// errorAt says which value does not decode.
func errorAt(key []byte, err error) error { return fmt.Errorf("value of %s: %w", describe(key), err) }

// describe writes a key so that it can be read.
func describe(key []byte) string {
	return fmt.Sprintf("key %q", strings.ToValidUTF8(string(key), "\uFFFD"))
}
