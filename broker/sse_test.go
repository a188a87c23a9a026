package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// event is one event as a client's code is handed it.
type event struct {
	id, name, data string
	retry          string // that came in the same block
}

// readSSE reads a stream as the WHATWG text requires of browsers:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.
// The returned error names what browsers forgive and Sluice promises not to send.
func readSSE(stream []byte) (events []event, comments int, err error) {
	const bom = "\xef\xbb\xbf"
	if bytes.HasPrefix(stream, []byte(bom)) {
		return nil, 0, fmt.Errorf("begins with a byte order mark")
	}
	if bytes.ContainsAny(stream, "\r") {
		return nil, 0, fmt.Errorf("has a carriage return, which ends a line")
	}
	if len(stream) > 0 && stream[len(stream)-1] != '\n' {
		return nil, 0, fmt.Errorf("ends within a line")
	}
	var e event
	var data []string
	open := false // within a block
	lastID := ""
	for line := range strings.Lines(string(stream)) {
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if len(data) == 0 {
				return nil, 0, fmt.Errorf("has a block without data: %+v", e)
			}
			e.data, e.id = strings.Join(data, "\n"), lastID
			events = append(events, e)
			e, data, open = event{}, nil, false
			continue
		case field == "":
			comments++
			continue
		case field == "event":
			e.name = value
		case field == "data":
			data = append(data, value)
		case field == "id":
			if !strings.Contains(value, "\x00") {
				lastID = value
			}
		case field == "retry":
			e.retry = value
		default:
			return nil, 0, fmt.Errorf("has a field %q", field)
		}
		open = true
	}
	if open {
		return nil, 0, fmt.Errorf("ends within a block: %+v", e)
	}
	return events, comments, nil
}

// readNDJSON reads lines in the same way. A control event has no id there but the one
// that its data may contain.
func readNDJSON(stream []byte) (events []event, heartbeats int, err error) {
	for line := range bytes.Lines(stream) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if !ended {
			return nil, 0, fmt.Errorf("ends within a line: %q", line)
		}
		if len(text) == 0 {
			heartbeats++
			continue
		}
		var m struct {
			Event string          `json:"event"`
			Data  json.RawMessage `json:"data"`
			ID    string          `json:"id"`
			Topic string          `json:"topic"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, 0, fmt.Errorf("%w: %q", err, text)
		}
		if m.Event == "" {
			events = append(events, event{id: m.ID, name: m.Topic, data: string(text)})
			continue
		}
		var d struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(m.Data, &d); err != nil {
			return nil, 0, fmt.Errorf("%w: %q", err, text)
		}
		events = append(events, event{id: d.ID, name: m.Event, data: string(m.Data)})
	}
	return events, heartbeats, nil
}

// read reads a stream of either format.
func read(format ring.Format, stream []byte) ([]event, int, error) {
	if format == ring.NDJSON {
		return readNDJSON(stream)
	}
	return readSSE(stream)
}

// gapEvent is the data of $gap.
type gapEvent struct {
	Channel   schemas.Pattern `json:"channel"`
	After     string          `json:"after"`
	ResumesAt *schemas.ID     `json:"resumes_at"`
	Reason    string          `json:"reason"`
}

// openEvent is the data of $open.
type openEvent struct {
	ID        schemas.ID        `json:"id"`
	Resumed   bool              `json:"resumed"`
	Channels  []schemas.Pattern `json:"channels"`
	ExpiresAt *schemas.Time     `json:"expires_at"`
}

// closeEvent is the data of $close.
type closeEvent struct {
	Code       int    `json:"code"`
	Reason     string `json:"reason"`
	Reconnect  bool   `json:"reconnect"`
	RetryAfter int64  `json:"retry_after_ms"`
	Channel    string `json:"channel"`
}
