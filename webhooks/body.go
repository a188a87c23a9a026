package webhooks

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// payload is the body of a webhook.
type payload struct {
	Type      outbox.Type  `json:"type"`
	Timestamp schemas.Time `json:"timestamp"`
	Data      data         `json:"data"`
}

// data is what the body says of an event. All events have a channel; the end of a run has the
// other members, too.
type data struct {
	Channel schemas.Channel   `json:"channel"`
	ID      schemas.ID        `json:"id,omitzero"` // of the run message
	RunID   string            `json:"run_id,omitempty"`
	Status  schemas.RunStatus `json:"status,omitempty"`
	Result  json.RawMessage   `json:"result,omitempty"`
	Error   json.RawMessage   `json:"error,omitempty"`
	Sub     string            `json:"sub,omitempty"`
}

// bodyOf returns the body of an event. It is the same for every endpoint and every attempt.
func bodyOf(e *outbox.Event) []byte {
	p := payload{Type: e.Type, Timestamp: e.At, Data: data{Channel: e.Channel, ID: e.Message, Sub: e.Sub}}
	if e.Run != nil {
		p.Data.RunID, p.Data.Status, p.Data.Result, p.Data.Error = e.Run.RunID, e.Run.Status, e.Run.Result, e.Run.Error
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		panic("webhooks: event does not marshal: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// idOf returns the webhook-id of an event, by which receivers recognize one that comes again.
// It has no dots, since they separate the parts of what is signed.
func idOf(e *outbox.Event) string {
	return "evt_" + strings.ReplaceAll(e.ID.String(), ".", "_")
}
