package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/schemas"
)

// The tables. A key begins with the byte of its table, followed by the parts in the comment.
// Names have no control characters, so a zero byte ends a name and keeps keys in the byte
// order of the names. Numbers are big-endian, so they sort, too.
const (
	tableMessages  = 'm' // channel, 0, position
	tableTexts     = 'o' // channel, 0, position of the first piece: texts that go on
	tableSegments  = 't' // position of the first piece of the text, number of the segment
	tableChannels  = 'c' // channel
	tableLosses    = 'l' // channel: what is lost of which topics
	tableRuns      = 'r' // channel
	tableKeys      = 'k' // keyHash: receipts of durable publishes, and records of texts
	tableExpiry    = 'a' // time in ms, kind of entry, its subject (expiry.go)
	tableForgotten = 'g' // cell
	tableItems     = 'f' // kind, 0, name
	tableSystem    = 's' // name
	tableEvents    = 'e' // position, who is through with the event (outbox.go)
	tableOccupied  = 'u' // channel: the outbox says that it is occupied
)

// keyHash identifies the channel, topic and idempotency key of a durable publish. It is long
// enough to rule out collisions.
type keyHash [16]byte

func hashOf(channel schemas.Channel, topic schemas.Topic, key string) keyHash {
	buf := make([]byte, 0, schemas.MaxChannelBytes+schemas.MaxTopicBytes+schemas.MaxKeyBytes+2)
	buf = append(append(buf, channel...), '\n')
	buf = append(append(buf, topic...), '\n')
	sum := sha256.Sum256(append(buf, key...)) // neither names nor keys can hold a line feed
	return keyHash(sum[:16])
}

// messagesOf appends the prefix that the keys of a channel's messages have in common.
func messagesOf(b []byte, name schemas.Channel) []byte {
	return append(append(append(b, tableMessages), name...), 0)
}

func messageKey(b []byte, name schemas.Channel, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(messagesOf(b, name), seq)
}

// textsOf returns the prefix that the keys of a channel's open texts have in common.
func textsOf(name schemas.Channel) []byte { return append(append([]byte{tableTexts}, name...), 0) }

func textKey(name schemas.Channel, id uint64) []byte {
	return binary.BigEndian.AppendUint64(textsOf(name), id)
}

const segmentKeyBytes = 1 + 8 + 4

func segmentKey(id uint64, number uint32) []byte {
	key := binary.BigEndian.AppendUint64(append(make([]byte, 0, segmentKeyBytes), tableSegments), id)
	return binary.BigEndian.AppendUint32(key, number)
}

// seqOf returns the position in the key of a message or an open text.
func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

func channelKey(name schemas.Channel) []byte { return append([]byte{tableChannels}, name...) }

func lossesKey(name schemas.Channel) []byte { return append([]byte{tableLosses}, name...) }

func runKey(name schemas.Channel) []byte { return append([]byte{tableRuns}, name...) }

func receiptKey(hash keyHash) []byte {
	return append(append(make([]byte, 0, 1+len(hash)), tableKeys), hash[:]...)
}

func itemKey(b []byte, kind clusterstate.Kind, name string) []byte {
	return append(append(append(append(b, tableItems), kind...), 0), name...)
}

func systemKey(name string) []byte { return append([]byte{tableSystem}, name...) }

// upTo returns the first key after all keys with the given prefix.
func upTo(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
