package schemas

import (
	"fmt"
	"strings"
)

// template is the parsed name of a [Definition]: the segments between its colons. Each is a
// literal text, or a variable between two literal texts.
type template struct {
	segments []segment
	prefix   string // the literal text before the first variable
	exact    bool   // there is no variable: prefix is the only name
}

type segment struct {
	before   string // the whole segment if it has no variable
	variable string // "" if it has none
	after    string
}

// parseTemplate returns the faults of s in plain words.
func parseTemplate(s string) (template, []string) {
	var t template
	if len(s) > MaxChannelBytes {
		return t, []string{fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), MaxChannelBytes)}
	}
	var faults []string
	var plain []string // the segments with a letter in place of the variable
	seen := map[string]bool{}
	for text := range strings.SplitSeq(s, ":") {
		seg, fault := parseSegment(text)
		if fault == "" && seg.variable != "" && seen[seg.variable] {
			fault = fmt.Sprintf("has variable {%s} twice", seg.variable)
		}
		if fault != "" {
			faults = append(faults, fault)
			continue
		}
		seen[seg.variable] = true
		t.segments = append(t.segments, seg)
		plain = append(plain, seg.example())
	}
	if len(faults) > 0 {
		return t, faults
	}
	if fault := channelFault(strings.Join(plain, ":")); fault != "" {
		return t, []string{"is not made of what channel names are made of: " + fault}
	}
	t.prefix, _, _ = strings.Cut(s, "{")
	t.exact = t.prefix == s
	return t, nil
}

func parseSegment(text string) (seg segment, fault string) {
	before, rest, opened := strings.Cut(text, "{")
	if strings.Contains(before, "}") {
		return segment{}, fmt.Sprintf("has } without { in segment %q", clip(text))
	}
	if !opened {
		return segment{before: before}, ""
	}
	variable, after, closed := strings.Cut(rest, "}")
	switch {
	case !closed:
		return segment{}, fmt.Sprintf("has { without } in segment %q", clip(text))
	case !isVariable(variable):
		return segment{}, fmt.Sprintf("has a variable %q: its name must be a letter or _, then letters, digits or _", clip(variable))
	case strings.ContainsAny(after, "{}"):
		return segment{}, fmt.Sprintf("has more than one variable in segment %q", clip(text))
	}
	return segment{before, variable, after}, ""
}

func isVariable(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// example returns the shortest text that the segment matches.
func (s segment) example() string {
	if s.variable == "" {
		return s.before
	}
	return s.before + "x" + s.after
}

func (s segment) matches(text string) bool {
	if s.variable == "" {
		return text == s.before
	}
	return len(text) > len(s.before)+len(s.after) &&
		strings.HasPrefix(text, s.before) && strings.HasSuffix(text, s.after)
}

// matches reports whether t matches the name c. It does not allocate.
func (t *template) matches(c Channel) bool {
	rest := string(c)
	last := len(t.segments) - 1
	for i, seg := range t.segments {
		text, tail, more := strings.Cut(rest, ":")
		if more != (i < last) || !seg.matches(text) {
			return false
		}
		rest = tail
	}
	return true
}

// overlaps reports whether both templates match some name. It is exact, except that it
// ignores [MaxChannelBytes].
func (t *template) overlaps(u *template) bool {
	if len(t.segments) != len(u.segments) {
		return false
	}
	for i, seg := range t.segments {
		if !seg.overlaps(u.segments[i]) {
			return false
		}
	}
	return true
}

func (s segment) overlaps(o segment) bool {
	switch {
	case s.variable == "":
		return o.matches(s.before)
	case o.variable == "":
		return s.matches(o.before)
	}
	// Each is "before, anything, after": a common text exists if and only if the
	// shorter of the two ends agrees with the longer one, on both sides.
	return (strings.HasPrefix(s.before, o.before) || strings.HasPrefix(o.before, s.before)) &&
		(strings.HasSuffix(s.after, o.after) || strings.HasSuffix(o.after, s.after))
}

// sameShape reports whether t and u differ at most in the names of variables.
func (t *template) sameShape(u *template) bool {
	if len(t.segments) != len(u.segments) {
		return false
	}
	for i, seg := range t.segments {
		other := u.segments[i]
		if seg.before != other.before || seg.after != other.after || (seg.variable == "") != (other.variable == "") {
			return false
		}
	}
	return true
}

// tie says why t and u cannot be in the same catalog, or returns "".
func (t *template) tie(u *template) string {
	switch {
	case t.sameShape(u):
		return "differs only in the names of variables"
	case len(t.prefix) == len(u.prefix) && t.overlaps(u):
		return "is as specific and may match the same channel"
	}
	return ""
}
