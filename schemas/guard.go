package schemas

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// Limits for messages with a schema, however small the messages are. The check recurses with
// the nesting, and arithmetic is exact: 1e1000000 would become a million digits.
const (
	maxMessageDepth   = 64
	maxNumberBytes    = 1000
	maxNumberExponent = 1000
)

// numberFault returns the fault of a JSON number, "" if it has none.
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

// numberFaults notes the numbers that have a [numberFault].
func (e *evaluation) numberFaults(v *value, p place) {
	if v.kind == strictjson.Number {
		if fault := numberFault(v.text); fault != "" {
			e.fault(p, "%s", fault)
		}
	}
	for i := range v.items {
		if e.full() {
			return
		}
		token := strconv.Itoa(i)
		if v.kind == strictjson.Object {
			token = v.names[i]
		}
		e.numberFaults(&v.items[i], p.at(token))
	}
}
