package auth

import (
	"encoding/binary"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// cachedToken is the content of a verified token in the cache.
type cachedToken struct {
	source     int    // index of the issuer
	generation uint64 // of the key set that verified it
	principal  *Principal
}

// append appends the encoding of t to b: varints and length-prefixed strings in
// the order of the fields. It never leaves the process.
func (t cachedToken) append(b []byte) []byte {
	p := t.principal
	b = binary.AppendUvarint(b, uint64(t.source))
	b = binary.AppendUvarint(b, t.generation)
	b = binary.AppendUvarint(b, uint64(p.ExpiresAt.Unix()))
	for _, s := range []string{p.Issuer, p.Subject, p.TokenID} {
		b = appendString(b, s)
	}
	for _, grants := range []schemas.Grants{p.Subscribe, p.Publish} {
		b = binary.AppendUvarint(b, uint64(len(grants)))
		for _, grant := range grants {
			b = appendString(b, string(grant.Channel))
			b = binary.AppendUvarint(b, uint64(len(grant.Topics)))
			for _, topic := range grant.Topics {
				b = appendString(b, topic)
			}
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decodeCached is the inverse of append. It returns false if the entry is incomplete.
func decodeCached(entry []byte) (cachedToken, bool) {
	d := decoder{bytes: entry, text: string(entry)}
	p := &Principal{}
	t := cachedToken{principal: p, source: d.count(), generation: d.number()}
	p.ExpiresAt = time.Unix(int64(d.number()), 0)
	p.Issuer, p.Subject, p.TokenID = d.string(), d.string(), d.string()
	p.Subscribe, p.Publish = d.grants(), d.grants()
	return t, !d.broken && d.at == len(entry)
}

// decoder reads an entry. All strings share one copy of it.
type decoder struct {
	bytes  []byte
	text   string
	at     int
	broken bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.bytes[d.at:])
	if size <= 0 {
		d.broken = true
		return 0
	}
	d.at += size
	return n
}

// count reads the number of the elements that follow, which is at most the number of bytes
// left.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.bytes)-d.at) {
		d.broken = true
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count()
	start := d.at
	d.at += n
	return d.text[start:d.at]
}

func (d *decoder) grants() schemas.Grants {
	n := d.count()
	if n == 0 {
		return nil
	}
	grants := make(schemas.Grants, n)
	for i := range grants {
		grants[i].Channel = schemas.Pattern(d.string())
		topics := make([]string, d.count())
		for j := range topics {
			topics[j] = d.string()
		}
		grants[i].Topics = topics
	}
	return grants
}
