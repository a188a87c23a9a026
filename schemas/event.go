package schemas

import "strconv"

// EventBytes returns the size of the Server-Sent Event of m if its id has idBytes.
func (m *Message) EventBytes(idBytes int) int {
	n := len("id: \nevent: \ndata: \n\n") +
		len(`{"id":"","channel":"","topic":"","kind":"","data":,"created_at":"2006-01-02T15:04:05.000Z"}`) +
		2*idBytes + len(m.Channel) + 2*len(m.Topic) + len(m.Kind) + len(m.Data)
	if m.RunID != "" {
		n += len(`,"run_id":""`) + escapedBytes(m.RunID)
	}
	if m.StreamID != "" {
		n += len(`,"stream_id":""`) + len(m.StreamID)
	}
	if m.FirstID != (ID{}) {
		var id [idSpace]byte
		n += len(`,"first_id":""`) + len(m.FirstID.Append(id[:0]))
	}
	if m.hasOffset() {
		var digits [20]byte
		n += len(`,"offset":`) + len(strconv.AppendInt(digits[:0], m.Offset, 10))
	}
	if m.Sub != "" {
		n += len(`,"sub":""`) + escapedBytes(m.Sub)
	}
	if m.Traceparent != "" {
		n += len(`,"traceparent":""`) + len(m.Traceparent)
	}
	return n
}

// Event returns the Server-Sent Event of m, in one allocation, and the index at which the
// JSON of the message begins. The names in m must have been parsed and its data must be
// compact JSON. So nothing in it can contain a line feed, with which one message could pose
// as two events.
func (m *Message) Event() (event []byte, json int) {
	var text [idSpace]byte
	id := m.ID.Append(text[:0])
	b := make([]byte, 0, m.EventBytes(len(id)))
	b = append(b, "id: "...)
	b = append(b, id...)
	b = append(b, "\nevent: "...)
	b = append(b, m.Topic...)
	b = append(b, "\ndata: "...)
	json = len(b)
	b = m.appendJSON(b, id)
	return append(b, "\n\n"...), json
}

// ReceiptOf returns the receipt for the publisher of m.
func ReceiptOf(m *Message) Receipt {
	return Receipt{ID: m.ID, Channel: m.Channel, Topic: m.Topic, Kind: m.Kind, CreatedAt: m.CreatedAt}
}
