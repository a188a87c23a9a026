package ring

import "bytes"

// Format is how a stream's events are written: as Server-Sent Events, unless it says
// otherwise. Its flags can be combined.
type Format uint8

// The flags of a format.
const (
	NDJSON    Format = 1 << iota // one JSON object a line
	Bare                         // of a message, its data alone
	Anonymous                    // no event name for messages, so that a browser's onmessage is called

	SSE Format = 0
)

// Lines reports whether events are lines of JSON.
func (f Format) Lines() bool { return f&NDJSON != 0 }

// String returns "sse" or "ndjson".
func (f Format) String() string {
	if f.Lines() {
		return "ndjson"
	}
	return "sse"
}

// In returns the frame in the given format, which must not be changed: readers share
// its bytes where they can. A line of JSON is a part of the event.
func (f *Frame) In(format Format) []byte {
	switch format {
	case SSE:
		return f.sse
	case NDJSON:
		return f.sse[f.json : len(f.sse)-1]
	case NDJSON | Anonymous:
		return f.In(NDJSON)
	}
	id, _, _ := bytes.Cut(f.sse[len("id: "):], []byte("\n"))
	return f.write(id, format)
}

// WithID returns the frame in the given format under another id: the position of a
// stream that is sent an older message, so that its position never moves backwards,
// or of one over several shards.
func (f *Frame) WithID(id string, format Format) []byte {
	if format.Lines() {
		return f.In(format)
	}
	return f.write([]byte(id), format)
}

// write builds the frame anew.
func (f *Frame) write(id []byte, format Format) []byte {
	body := f.sse[f.json:] // with the blank line
	if format&Bare != 0 {
		body = f.bare()
	}
	if format.Lines() {
		return append(bytes.Clone(body), '\n')
	}
	b := make([]byte, 0, len(f.sse)+len(id))
	b = append(b, "id: "...)
	b = append(b, id...)
	if format&Anonymous == 0 {
		b = append(b, "\nevent: "...)
		b = append(b, f.mark.name...)
	}
	b = append(b, "\ndata: "...)
	b = append(b, body...)
	if format&Bare != 0 {
		b = append(b, "\n\n"...)
	}
	return b
}

// bare returns the data of the message. What stands before it are names, none of
// which can hold a quotation mark.
func (f *Frame) bare() []byte {
	message := f.sse[f.json:]
	i := bytes.Index(message, []byte(`,"data":`)) + len(`,"data":`)
	return message[i : i+int(f.data)]
}
