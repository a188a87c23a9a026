package nats

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
)

// An item of the cluster state is stored as
//
//	version 1 | 1 if deleted, else 0 | expiry in milliseconds, varint, 0: never | value
//
// Its kind and name are in its subject.
const itemVersion = 1

var errBadItem = errors.New("nats: a record that is no item of the cluster state")

func encodeItem(item clusterstate.Item) []byte {
	b := append(make([]byte, 0, 16+len(item.Value)), itemVersion, 0)
	if item.Deleted {
		b[1] = 1
	}
	expires := int64(0)
	if !item.ExpiresAt.IsZero() {
		expires = item.ExpiresAt.UnixMilli()
	}
	return append(binary.AppendVarint(b, expires), item.Value...)
}

func decodeItem(b []byte) (item clusterstate.Item, err error) {
	if len(b) < 3 || b[0] != itemVersion {
		return item, errBadItem
	}
	expires, n := binary.Varint(b[2:])
	if n <= 0 {
		return item, errBadItem
	}
	if expires != 0 {
		item.ExpiresAt = time.UnixMilli(expires)
	}
	item.Deleted = b[1] == 1
	if n += 2; n < len(b) {
		item.Value = b[n:]
	}
	return item, nil
}

func expired(item clusterstate.Item) bool {
	return !item.ExpiresAt.IsZero() && !item.ExpiresAt.After(time.Now())
}
