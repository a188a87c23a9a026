package schemas

import (
	"fmt"
	"strings"
)

// maxFaults is the most faults of a definition or a file that are reported. A document could
// have one for every few bytes.
const maxFaults = 100

// faultList gathers the faults of a document.
type faultList struct {
	faults []FieldError // at most maxFaults
}

func (l *faultList) add(pointer, format string, args ...any) {
	if len(l.faults) >= maxFaults {
		return
	}
	l.faults = append(l.faults, FieldError{pointer, fmt.Sprintf(format, args...)})
}

// locate adds to each fault of a YAML document where it is.
func (n *node) locate(faults []FieldError) []FieldError {
	for i, f := range faults {
		if at := n.spotOf(f.Pointer); at != (spot{}) {
			faults[i].Detail = fmt.Sprintf("%s (line %d, column %d)", f.Detail, at.line, at.column)
		}
	}
	return faults
}

// maxListed is the most faults in the text of an error.
const maxListed = 8

// listFaults writes faults on one line. If there are more, it says so.
func listFaults(faults []FieldError, more bool) string {
	var b strings.Builder
	shown := faults[:min(len(faults), maxListed)]
	for i, f := range shown {
		if i > 0 {
			b.WriteString("; ")
		}
		if f.Pointer != "" {
			b.WriteString(clip(f.Pointer) + " ")
		}
		b.WriteString(f.Detail)
	}
	switch rest := len(faults) - len(shown); {
	case more:
		b.WriteString("; and more")
	case rest > 0:
		fmt.Fprintf(&b, "; and %d more", rest)
	}
	return b.String()
}

// maxClip is the most bytes of a text from outside that an error quotes.
const maxClip = 64

// clip shortens s without splitting a character.
func clip(s string) string {
	if len(s) <= maxClip {
		return s
	}
	return strings.ToValidUTF8(s[:maxClip], "") + "…"
}

// unescapePointer returns the name that a token of a JSON Pointer stands for. A
// Replacer goes over its input once, so that ~01 becomes ~1 as RFC 6901, section 4,
// demands.
func unescapePointer(token string) string {
	return strings.NewReplacer("~0", "~", "~1", "/").Replace(token)
}

// prefixed returns the faults of a part with the pointer of the part in front.
func prefixed(pointer string, faults []FieldError) []FieldError {
	moved := make([]FieldError, len(faults))
	for i, f := range faults {
		moved[i] = FieldError{pointer + f.Pointer, f.Detail}
	}
	return moved
}
