package schemas

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names, in bytes of UTF-8.
const (
	MaxChannelBytes = 256
	MaxTopicBytes   = 64
	MaxRunIDBytes   = 256
	MaxKeyBytes     = 255
)

// Errors of the Parse functions. The text of a returned error names the fault.
var (
	ErrBadChannel = errors.New("schemas: bad channel name")
	ErrBadTopic   = errors.New("schemas: bad topic name")
	ErrBadRunID   = errors.New("schemas: bad run id")
	ErrBadKey     = errors.New("schemas: bad idempotency key")
)

// Channel is the name of a channel: the scope of updates, such as one run, one
// user or one thread.
type Channel string

// ParseChannel checks s against the rules of channel names: 1 to
// [MaxChannelBytes] bytes of UTF-8, no control or format character, no white
// space, none of * { } " \ ? #, and no $ in front. It returns [ErrBadChannel].
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
		if strings.ContainsRune(`*{}"\?#`, r) || invisible(r) {
			return fmt.Sprintf("character %q is not allowed", r)
		}
	}
	return ""
}

// invisible reports control and format characters and white space of any kind.
func invisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r <= ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z)
}

// Topic is the category of a message within its channel. It is also the name
// of the Server-Sent Event that carries the message.
type Topic string

// TopicRun is the system's topic for the lifecycle of a run. [ParseTopic]
// refuses it: only run messages are published there.
const TopicRun Topic = "$run"

// ParseTopic checks s against the rules of topic names: 1 to [MaxTopicBytes] of
// A-Z a-z 0-9 _ . -, and none of the event names that clients use for
// themselves. It returns [ErrBadTopic].
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
