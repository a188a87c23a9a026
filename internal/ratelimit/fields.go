package ratelimit

import "strconv"

// Fields returns the values of the header fields RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers-11) that tell a caller about its limits, "" if it has
// none. A policy is named after what it limits, such as "key" for its messages and "key-bytes"
// for its bytes.
func (d *Decision) Fields(l *Limits) (policy, state string) {
	var policies, states []byte
	for kind, t := range l.tables {
		if !d.about[kind] {
			continue
		}
		for unit, b := range t.buckets {
			if b.rate == 0 {
				continue
			}
			if policies != nil {
				policies, states = append(policies, ", "...), append(states, ", "...)
			}
			policies = append(policies, t.policies[unit]...)
			states = append(append(states, t.names[unit]...), ";r="...)
			states = strconv.AppendInt(states, d.left[kind][unit], 10)
			// Within a second, or until it may try again, a caller may use no more than what is left.
			states = append(states, ";t="...)
			states = strconv.AppendInt(states, int64(d.seconds(Kind(kind), Unit(unit))), 10)
		}
	}
	return string(policies), string(states)
}

// seconds returns for how long what is left of a limit has to last.
func (d *Decision) seconds(kind Kind, unit Unit) int {
	if d.Wait > 0 && kind == d.Kind && unit == d.Unit {
		return seconds(d.Wait)
	}
	return 1
}

// describe sets how the limits of a table are called in headers, and their policies.
func (t *table) describe() {
	for unit, b := range t.buckets {
		name, measure := t.kind.String(), ""
		if Unit(unit) == Bytes {
			name, measure = name+"-bytes", `;qu="content-bytes"`
		}
		t.names[unit] = strconv.Quote(name)
		t.policies[unit] = t.names[unit] + ";q=" + strconv.FormatInt(b.rate*b.window(), 10) + measure + ";w=" + strconv.FormatInt(b.window(), 10)
	}
}
