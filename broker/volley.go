package broker

import (
	"strconv"

	"github.com/sluicehq/sluice/schemas"
)

// maxVolley bounds what one reader is sent in one pass, in bytes: the others have
// their turn before it is sent more.
const maxVolley = 64 << 10

// volley is what the readers of a channel at one position are sent next, written
// out once for all that want the same of it.
type volley struct {
	key
	to       uint64 // the position after it
	last     uint64 // that of the last message in it, 0: none
	messages int
	bytes    []byte
	cuts     []cut
}

// key is what readers have in common that are sent the same.
type key struct {
	from   uint64
	format Format
	coding coding
	topics schemas.TopicSet
}

func (k *key) equal(o *key) bool {
	return k.from == o.from && k.format == o.format && k.coding == o.coding && k.topics.Equal(o.topics)
}

// cut is a place between two messages.
type cut struct {
	end int    // of the message, in the volley's bytes
	seq uint64 // its position
}

// load fills v with what k is sent of c, at most maxVolley bytes but for the last
// message. It reports false if that is more than messages in their turn: then
// the stream has to find out by itself.
func (v *volley) load(c *channel, k key) bool {
	v.key, v.to, v.last, v.messages = k, k.from, 0, 0
	v.bytes, v.cuts = v.bytes[:0], v.cuts[:0]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log.cold > max(k.from, c.cold.Load()) || c.log.lostOf(k.topics) > k.from {
		return false
	}
	if r := c.run; r != nil && r.frame.seq > k.from && !c.log.holds(r.frame.seq) {
		return false
	}
	for i := c.log.after(k.from); i < c.log.count; i++ {
		f := c.log.at(i)
		if len(v.bytes) >= maxVolley {
			return true
		}
		v.to = f.seq
		if wanted(f, k.topics) {
			v.bytes = k.coding.append(v.bytes, f.in(k.format))
			v.cuts = append(v.cuts, cut{len(v.bytes), f.seq})
			v.last = f.seq
			v.messages++
		}
	}
	v.to = max(v.to, c.log.last)
	return true
}

// cutAt returns the message in the middle or before which the first n bytes end,
// and how many messages that makes with it.
func (v *volley) cutAt(n int) (cut, int) {
	for i, c := range v.cuts {
		if c.end > n {
			return c, i + 1
		}
	}
	return v.cuts[len(v.cuts)-1], len(v.cuts)
}

// coding is how the body of an answer is framed.
type coding uint8

const (
	untilClose coding = iota // HTTP/1.0: it ends with the connection
	chunked                  // RFC 9112, section 7.1; a chunk an event, so that a connection can be cut between two
)

// append adds one event.
func (c coding) append(b, event []byte) []byte {
	if c == untilClose {
		return append(b, event...)
	}
	b = strconv.AppendUint(b, uint64(len(event)), 16)
	b = append(b, "\r\n"...)
	b = append(b, event...)
	return append(b, "\r\n"...)
}

// end adds the end of the body.
func (c coding) end(b []byte) []byte {
	if c == untilClose {
		return b
	}
	return append(b, "0\r\n\r\n"...)
}
