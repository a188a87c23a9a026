package nats

import (
	"fmt"
	"log/slog"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

// recordHeaders bounds how much longer a run status is in the stream than the event
// that readers get, in bytes. The difference is smaller for everything else.
const recordHeaders = 256

// fits returns [engine.ErrTooLarge] if the server would not take one of the messages.
// The server would end the connection.
func (e *Engine) fits(messages ...*natsio.Msg) error {
	most := e.conn.MaxPayload()
	for _, m := range messages {
		if int64(jetstream.Size(m)) > most {
			return fmt.Errorf("%w: the NATS server takes messages of at most %d bytes", engine.ErrTooLarge, most)
		}
	}
	return nil
}

// checkPayload reports a server that does not take the longest message that may be
// published.
func (o Options) checkPayload(conn *natsio.Conn) error {
	most, longest := conn.MaxPayload(), int64(o.MaxEvent)
	if most < longest {
		return fmt.Errorf("%w: the server takes messages of at most %d bytes (its max_payload), but up to %d bytes may be published (max-message-bytes): raise the former or lower the latter", ErrUnsuitable, most, longest)
	}
	if longest > 0 && most < longest+recordHeaders {
		o.Log.Warn("the longest run statuses will be refused: max_payload of the nats server leaves no room for their headers",
			slog.Int64("max_payload", most), slog.Int64("needed", longest+recordHeaders))
	}
	return nil
}
