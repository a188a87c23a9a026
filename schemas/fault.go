package schemas

import (
	"fmt"
	"strings"
)

// faultList gathers the faults of a document.
type faultList struct {
	faults []FieldError
}

func (l *faultList) add(pointer, format string, args ...any) {
	l.faults = append(l.faults, FieldError{pointer, fmt.Sprintf(format, args...)})
}

// maxListed is how many faults the text of an error names.
const maxListed = 8

// listFaults writes faults on one line.
func listFaults(faults []FieldError, total int) string {
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
	if rest := total - len(shown); rest > 0 {
		fmt.Fprintf(&b, "; and %d more", rest)
	}
	return b.String()
}

// maxClip is how many bytes of a text from outside are repeated in an error.
const maxClip = 64

// clip shortens s at the border of a character.
func clip(s string) string {
	if len(s) <= maxClip {
		return s
	}
	return strings.ToValidUTF8(s[:maxClip], "") + "…"
}

// escapePointer makes a reference token of RFC 6901, section 3, of a name.
func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// unescapePointer undoes escapePointer. A Replacer goes over its input once, so
// that ~01 becomes ~1 as section 4 demands.
func unescapePointer(token string) string {
	return strings.NewReplacer("~0", "~", "~1", "/").Replace(token)
}

// join returns the pointer of a member of the value at pointer.
func join(pointer, name string) string {
	return pointer + "/" + escapePointer(name)
}

// prefixed moves faults of a part to where the part stands.
func prefixed(pointer string, faults []FieldError) []FieldError {
	moved := make([]FieldError, len(faults))
	for i, f := range faults {
		moved[i] = FieldError{pointer + f.Pointer, f.Detail}
	}
	return moved
}
