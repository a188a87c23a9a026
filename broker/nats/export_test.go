package nats

import (
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// Sink is what tests put in the place of a broker.
type Sink = sink

// StartFor is Start with another sink than a broker's.
func (e *Engine) StartFor(to Sink) (broker.Origin, error) { return e.start(to) }

// SubjectOf and ChannelOf translate the name of a channel and back.
func SubjectOf(prefix string, name schemas.Channel) string { return subjectOf(prefix, name) }

// ChannelOf undoes SubjectOf.
func ChannelOf(prefix, subject string) (schemas.Channel, bool) { return channelOf(prefix, subject) }

// FilterOf returns the subject of a pattern.
func FilterOf(prefix string, pattern schemas.Pattern) string { return filterOf(prefix, pattern) }

// Seal and Unseal are the stored form of a message, without its channel and position.
func Seal(m *schemas.Message) []byte { v := envelopeOf(m, 7); return v.encode() }

// Unseal undoes Seal.
func Unseal(b []byte) (schemas.Message, error) {
	v, err := openEnvelope(b)
	return v.message(schemas.ID{}, ""), err
}
