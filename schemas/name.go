package schemas

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits. Those of names are in bytes of UTF-8.
const (
	MaxChannelBytes  = 256
	MaxTopicBytes    = 64
	MaxRunIDBytes    = 256
	MaxStreamIDBytes = 64
	MaxKeyBytes      = 255
	MaxShards        = 64 // shards of a log; limits the text of a [Position]
)

// Channel is the name of a channel: the scope of updates, such as one run, one
// user or one thread.
type Channel string

// ParseChannel checks s against the rules for channel names: 1 to [MaxChannelBytes] bytes of
// UTF-8; no control or format characters, no white space and none of * { } " \ ? #; no $ at
// the beginning; and no . or .. between slashes, which URL parsers remove from a path. It
// returns [ErrBadChannel].
func ParseChannel(s string) (Channel, error) {
	if fault := channelFault(s); fault != "" {
		return "", fmt.Errorf("%w: %s", ErrBadChannel, fault)
	}
	return Channel(s), nil
}

func channelFault(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > MaxChannelBytes:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(s), MaxChannelBytes)
	case s[0] == '$':
		return "names that begin with $ are the system's own"
	case !utf8.ValidString(s):
		return "it is not UTF-8"
	}
	for _, r := range s {
		if reserved(r) || invisible(r) {
			return fmt.Sprintf("character %q is not allowed", r)
		}
	}
	if !strings.Contains(s, ".") {
		return "" // as in most names
	}
	for part := range strings.SplitSeq(s, "/") {
		if isDots(part) {
			return fmt.Sprintf("%q is a step in a path, and not a name", part)
		}
	}
	return ""
}

// reserved reports the visible characters that no channel name may have: they mean
// something in patterns, URLs or JSON.
func reserved(r rune) bool {
	switch r {
	case '*', '{', '}', '"', '\\', '?', '#':
		return true
	}
	return false
}

// isDots reports a segment that RFC 3986, section 5.2.4, removes from a path: the request
// would be for another path.
func isDots(segment string) bool { return segment == "." || segment == ".." }

// invisible reports control characters, format characters and white space of any kind.
func invisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r <= ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z)
}

// Topic is the category of a message within its channel. It is also the name
// of the Server-Sent Event that carries the message.
type Topic string

// TopicRun is the system's topic for the status of a run. Only run messages are published
// to it, so [ParseTopic] refuses it.
const TopicRun Topic = "$run"

// TopicPresence is the system's topic for who reads a channel. Nothing can be published to
// it, so [ParseTopic] refuses it. It must be asked for and granted by its name.
const TopicPresence Topic = "$presence"

// ParseTopic checks s against the rules for topic names: 1 to [MaxTopicBytes] of the
// characters A-Z a-z 0-9 _ . -; none of the event names that clients use themselves; and
// neither . nor .., as in channel names. It returns [ErrBadTopic].
func ParseTopic(s string) (Topic, error) {
	if fault := topicFault(s); fault != "" {
		return "", fmt.Errorf("%w: %s", ErrBadTopic, fault)
	}
	return Topic(s), nil
}

func topicFault(s string) string {
	switch s {
	case "":
		return "it is empty"
	case "open", "error", "message", "close", "end", "abort", "retrying":
		return fmt.Sprintf("%q is an event that clients use for themselves", s)
	}
	if isDots(s) {
		return fmt.Sprintf("%q is a step in a path, and not a name", s)
	}
	if len(s) > MaxTopicBytes {
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(s), MaxTopicBytes)
	}
	for i := range len(s) {
		if !topicByte(s[i]) {
			return "only A-Z a-z 0-9 _ . - are allowed"
		}
	}
	return ""
}

func topicByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '.' || c == '-'
}

// ParseRunID checks s, which may be empty: at most [MaxRunIDBytes] bytes of
// UTF-8 without control or format characters. It returns [ErrBadRunID].
func ParseRunID(s string) (string, error) {
	if len(s) > MaxRunIDBytes {
		return "", fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrBadRunID, len(s), MaxRunIDBytes)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: it is not UTF-8", ErrBadRunID)
	}
	for _, r := range s {
		if r != ' ' && invisible(r) {
			return "", fmt.Errorf("%w: character %q is not allowed", ErrBadRunID, r)
		}
	}
	return s, nil
}

// ParseStreamID checks the stream id that a publisher has chosen for a text: 1 to
// [MaxStreamIDBytes] of A-Z, a-z, 0-9, "_", ".", ":" and "-". It returns
// [ErrBadStreamID].
func ParseStreamID(s string) (string, error) {
	if s == "" || len(s) > MaxStreamIDBytes {
		return "", fmt.Errorf("%w: it has %d bytes, 1 to %d are allowed", ErrBadStreamID, len(s), MaxStreamIDBytes)
	}
	for i := range len(s) {
		if c := s[i]; !topicByte(c) && c != ':' {
			return "", fmt.Errorf("%w: only A-Z, a-z, 0-9, _, ., : and - are allowed", ErrBadStreamID)
		}
	}
	return s, nil
}

// ParseTraceparent returns a traceparent header (W3C Trace Context, section 3.2) without
// what a later version may have added, "" if it is not valid: who gets an invalid one must
// do as if there were none.
func ParseTraceparent(s string) string {
	const version, trace, parent, flags = 2, 3 + 32, 36 + 16, 53 + 2 // where each ends
	if len(s) < flags || len(s) > flags && (s[flags] != '-' || s[:version] == "00") || s[:version] == "ff" {
		return ""
	}
	for i := range flags {
		dash := i == version || i == trace || i == parent
		if dash != (s[i] == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(s[i])) {
			return ""
		}
	}
	if strings.Trim(s[version+1:trace], "0") == "" || strings.Trim(s[trace+1:parent], "0") == "" {
		return ""
	}
	return s[:flags]
}

// ParseKey checks an idempotency key: 1 to [MaxKeyBytes] printable ASCII
// characters. It returns [ErrBadKey].
func ParseKey(s string) (string, error) {
	if s == "" || len(s) > MaxKeyBytes {
		return "", fmt.Errorf("%w: it has %d bytes, 1 to %d are allowed", ErrBadKey, len(s), MaxKeyBytes)
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return "", fmt.Errorf("%w: only printable ASCII is allowed", ErrBadKey)
		}
	}
	return s, nil
}
