package broker

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Last returns the newest position handed out.
func (b *Broker) Last() schemas.ID { return b.idOf(b.seq.last()) }

// Sweep does at once what otherwise happens every second.
func (b *Broker) Sweep(now time.Time) { b.sweep(now) }
