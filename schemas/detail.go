package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// compareFaults orders faults by pointer, then by detail.
func compareFaults(a, b FieldError) int {
	if c := strings.Compare(a.Pointer, b.Pointer); c != 0 {
		return c
	}
	return strings.Compare(a.Detail, b.Detail)
}

// maxPointerBytes limits the pointers in the faults of a message, whose members may have
// names of any length.
const maxPointerBytes = 512

// pointerTo returns the pointer of a location, or that of the closest enclosing value whose
// pointer is short enough.
func pointerTo(location []string) string {
	p := ""
	for _, token := range location {
		next := strictjson.Pointer(p, token)
		if len(next) > maxPointerBytes {
			break
		}
		p = next
	}
	return p
}

// article puts the name of a JSON type into a sentence.
func article(t string) string {
	switch t {
	case "null":
		return "null"
	case "array", "integer", "object":
		return "an " + t
	}
	return "a " + t
}

// maxAlternatives is the most values of an enum that a fault lists.
const maxAlternatives = 8

// alternativesOf joins values with commas and a final "or".
func alternativesOf[T any](values []T, text func(T) string) string {
	shown := make([]string, 0, maxAlternatives+1)
	for _, v := range values[:min(len(values), maxAlternatives)] {
		shown = append(shown, text(v))
	}
	if rest := len(values) - len(shown); rest > 0 {
		shown = append(shown, fmt.Sprintf("%d more", rest))
	}
	last := len(shown) - 1
	if last < 1 {
		return strings.Join(shown, "")
	}
	return strings.Join(shown[:last], ", ") + " or " + shown[last]
}

// literal writes a value of a schema as JSON, shortened.
func literal(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "another value"
	}
	return clip(strings.TrimSuffix(b.String(), "\n"))
}

// decimal writes a number of a schema, which is always a decimal fraction.
func decimal(r *big.Rat) string {
	digits, _ := r.FloatPrec()
	return clip(r.FloatString(digits))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
