package schemas

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// What a message that is held to a schema may ask of the validator, however
// small it is. Each error carries its whole location, so that many errors far
// down would take a lot of memory; arithmetic is exact, so that 1e1000000 would
// be expanded to a million digits.
const (
	maxMessageDepth   = 64
	maxNumberBytes    = 1000
	maxNumberExponent = 1000
)

// numberFault says what is wrong with a JSON number, or "".
func numberFault(number string) string {
	if len(number) > maxNumberBytes {
		return fmt.Sprintf("is a number of %d characters, at most %d are allowed", len(number), maxNumberBytes)
	}
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		if e, err := strconv.Atoi(number[i+1:]); err != nil || max(e, -e) > maxNumberExponent {
			return fmt.Sprintf("is a number whose exponent is beyond %d", maxNumberExponent)
		}
	}
	return ""
}

// skim looks at JSON text without decoding it: how deep its values stand within
// each other, and whether it has a number that [numberFault] might object to.
func skim(data []byte) (depth int, oddNumber bool) {
	level, digits := 0, 0
	inString := false
	for i := 0; i < len(data); i++ {
		c := data[i]
		if inString {
			switch c {
			case '\\':
				i++
			case '"':
				inString = false
			}
			continue
		}
		switch {
		case '0' <= c && c <= '9' || c == '.':
			digits++
			oddNumber = oddNumber || digits >= maxNumberBytes
			continue
		case c == 'e' || c == 'E':
			oddNumber = oddNumber || digits > 0
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			level++
			depth = max(depth, level)
		case c == '}' || c == ']':
			level--
		}
		digits = 0
	}
	return depth, oddNumber
}

// numberFaults finds the numbers that [numberFault] objects to.
func numberFaults(v any, location []string) []FieldError {
	var faults []FieldError
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			faults = append(faults, numberFaults(value, append(location, name))...)
		}
	case []any:
		for i, value := range v {
			faults = append(faults, numberFaults(value, append(location, strconv.Itoa(i)))...)
		}
	case json.Number:
		if fault := numberFault(v.String()); fault != "" {
			faults = append(faults, FieldError{pointerTo(location), fault})
		}
	}
	return faults
}
