package ratelimit

import (
	"fmt"
	"strings"
)

// Fields returns the values of the header fields RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers-11) that tell a caller about its limits, "" if it has
// none. A policy is named after what it limits, such as "key" for its messages and "key-bytes"
// for its bytes.
func (d Decision) Fields(l *Limits) (policy, state string) {
	var policies, states strings.Builder
	for kind, t := range l.tables {
		if !d.about[kind] {
			continue
		}
		for unit, b := range t.buckets {
			if b.rate == 0 {
				continue
			}
			name, measure := t.kind.String(), ""
			if Unit(unit) == Bytes {
				name, measure = name+"-bytes", `;qu="content-bytes"`
			}
			separator := ""
			if policies.Len() > 0 {
				separator = ", "
			}
			fmt.Fprintf(&policies, "%s%q;q=%d%s;w=%d", separator, name, b.rate*b.window(), measure, b.window())
			// Within a second, or until it may try again, a caller may use no more than what is left.
			fmt.Fprintf(&states, "%s%q;r=%d;t=%d", separator, name, d.left[kind][unit], d.seconds(Kind(kind), Unit(unit)))
		}
	}
	return policies.String(), states.String()
}

// seconds returns for how long what is left of a limit has to last.
func (d Decision) seconds(kind Kind, unit Unit) int {
	if d.Wait > 0 && kind == d.Kind && unit == d.Unit {
		return seconds(d.Wait)
	}
	return 1
}
