package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/schemas"
)

// The tables. A key is the byte of its table and what stands with it here. Names
// have no control characters, so the byte 0 ends one, and keys are in the byte order
// of the names. Numbers are big-endian, so that they are in order, too.
const (
	tableMessages  = 'm' // channel, 0, position
	tableChannels  = 'c' // channel
	tableRuns      = 'r' // channel
	tableKeys      = 'k' // keyHash
	tableAgenda    = 'a' // time in ms, kind, what
	tableForgotten = 'g' // cell
	tableFacts     = 'f' // kind, 0, name
	tableSystem    = 's' // name
)

// keyHash stands for the channel, topic and key of a durable publish. It is long
// enough that no two will ever share one.
type keyHash [16]byte

func hashOf(channel schemas.Channel, topic schemas.Topic, key string) keyHash {
	buf := make([]byte, 0, schemas.MaxChannelBytes+schemas.MaxTopicBytes+schemas.MaxKeyBytes+2)
	buf = append(append(buf, channel...), '\n')
	buf = append(append(buf, topic...), '\n')
	sum := sha256.Sum256(append(buf, key...)) // neither names nor keys can hold a line feed
	return keyHash(sum[:16])
}

// messagesOf appends what the keys of all messages of a channel begin with.
func messagesOf(b []byte, name schemas.Channel) []byte {
	return append(append(append(b, tableMessages), name...), 0)
}

func messageKey(b []byte, name schemas.Channel, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(messagesOf(b, name), seq)
}

// seqOf returns the position in the key of a message.
func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

func channelKey(name schemas.Channel) []byte { return append([]byte{tableChannels}, name...) }

func runKey(name schemas.Channel) []byte { return append([]byte{tableRuns}, name...) }

func receiptKey(b []byte, hash keyHash) []byte { return append(append(b, tableKeys), hash[:]...) }

func factKey(b []byte, kind facts.Kind, name string) []byte {
	return append(append(append(append(b, tableFacts), kind...), 0), name...)
}

func systemKey(name string) []byte { return append([]byte{tableSystem}, name...) }

// upTo returns the first key after all those that begin with prefix.
func upTo(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
