package handlers

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// object is a type that a JSON object is read into. The standard decoder takes
// names in any case and, of a member that stands twice, the last one: what is
// checked could differ from what another reader of the same body sees.
type object interface {
	members() []string // the names that are known
}

// checkMembers returns an error that names every member of data, which is a
// valid JSON value, that is not known or stands there twice.
func checkMembers(data []byte, o object) error {
	known := o.members()
	var faults []schemas.FieldError
	var seen uint64
	for name := range members(data) {
		if len(faults) == maxFaults {
			break
		}
		i := slices.Index(known, name)
		switch {
		case i < 0:
			faults = append(faults, schemas.FieldError{Pointer: pointerTo(name), Detail: "is unknown here"})
		case seen&(1<<i) != 0:
			faults = append(faults, schemas.FieldError{Pointer: pointerTo(name), Detail: "stands there twice"})
		default:
			seen |= 1 << i
		}
	}
	if faults != nil {
		return &fieldsError{faults}
	}
	return nil
}

// maxFaults is how many faults of one body are told.
const maxFaults = 32

// maxPointed is how long a name from outside may be to be repeated in an answer.
const maxPointed = 64

// pointerTo returns the pointer to a member (RFC 6901).
func pointerTo(name string) string {
	if len(name) > maxPointed {
		name = strings.ToValidUTF8(name[:maxPointed], "") + "…"
	}
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// members yields the members of a JSON object: each name, and its value as it
// stands there. The data must be valid JSON; what is no object has none.
func members(data []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		depth, value := 0, 0 // value is where the value of name begins; 0: a name comes first
		var name string
		for i := 0; i < len(data); i++ {
			switch data[i] {
			case '{', '[':
				if depth++; depth == 1 && data[i] == '[' {
					return
				}
			case ':':
				if depth == 1 {
					value = i + 1
				}
			case '"':
				end := i + stringLength(data[i:])
				if depth == 1 && value == 0 {
					name = unquote(data[i:end])
				}
				i = end - 1
			case ',', '}', ']':
				if depth == 1 && value > 0 {
					if !yield(name, bytes.TrimSpace(data[value:i])) {
						return
					}
					value = 0
				}
				if data[i] != ',' {
					depth--
				}
			}
		}
	}
}

// stringLength returns the length of the JSON string that data begins with,
// quotes included.
func stringLength(data []byte) int {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// unquote returns the text of a JSON string.
func unquote(quoted []byte) string {
	if !bytes.Contains(quoted, []byte{'\\'}) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is valid
	return s
}
