package nats

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// subjects are the names of everything in the stream of one shard. All begin with
// "<name>.<shard>.".
type subjects struct {
	messages  string // + channel: what is published
	runs      string // + channel: the latest run status
	keys      string // + hash: durable publishes that are remembered
	control   string // marks and deletions, in one order
	marks     string // + slot of time
	deletions string // + channel
	canaries  string // + node
	live      string // what is stored comes again here, in place of all
	all       string
}

func subjectsOf(name string, shard int) subjects {
	all := fmt.Sprintf("%s.%d.", name, shard)
	return subjects{
		messages: all + "m.", runs: all + "r.", keys: all + "k.",
		control: all + "x.", marks: all + "x.t.", deletions: all + "x.d.",
		canaries: all + "c.", live: all + "live.", all: all,
	}
}

// stored lists what the stream keeps.
func (s subjects) stored() []string {
	return []string{s.messages + ">", s.runs + ">", s.keys + "*", s.control + ">", s.canaries + "*"}
}

// liveOf returns where what is stored under subject comes again.
func (s subjects) liveOf(subject string) string {
	return s.live + strings.TrimPrefix(subject, s.all)
}

// key returns the subject of the record of a publish with a key.
func (s subjects) key(channel schemas.Channel, topic schemas.Topic, key string) string {
	sum := sha256.Sum256([]byte(string(channel) + "\n" + string(topic) + "\n" + key))
	return s.keys + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20])
}

const hexDigits = "0123456789ABCDEF"

// appendChannel appends the tokens of a channel's name. What lies between colons is
// one token. Bytes that mean something in a subject, and %, are written as % and two
// digits; an empty token as a % alone.
func appendChannel(b []byte, name string) []byte {
	empty := true
	for i := range len(name) {
		switch c := name[i]; {
		case c == ':':
			if empty {
				b = append(b, '%')
			}
			b = append(b, '.')
			empty = true
			continue
		case c <= ' ' || c == 0x7f || c == '.' || c == '*' || c == '>' || c == '%':
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
		empty = false
	}
	if empty {
		b = append(b, '%')
	}
	return b
}

// subjectOf returns the subject of a channel below prefix.
func subjectOf(prefix string, name schemas.Channel) string {
	return string(appendChannel(append(make([]byte, 0, len(prefix)+len(name)+16), prefix...), string(name)))
}

// filterOf returns the subject that matches those of all channels that a pattern
// names. It also matches the channel that is named like the prefix with its colon;
// [schemas.Pattern.Matches] tells.
func filterOf(prefix string, pattern schemas.Pattern) string {
	if name, exact := pattern.Exact(); exact {
		return subjectOf(prefix, name)
	}
	if pattern == "*" {
		return prefix + ">"
	}
	return subjectOf(prefix, schemas.Channel(strings.TrimSuffix(string(pattern), ":*"))) + ".>"
}

// channelOf undoes subjectOf. It reports false for what subjectOf does not write.
func channelOf(prefix, subject string) (schemas.Channel, bool) {
	tokens, ok := strings.CutPrefix(subject, prefix)
	if !ok || tokens == "" {
		return "", false
	}
	b := make([]byte, 0, len(tokens))
	for {
		token, rest, more := strings.Cut(tokens, ".")
		if b, ok = appendToken(b, token); !ok {
			return "", false
		}
		if !more {
			return schemas.Channel(b), true
		}
		b, tokens = append(b, ':'), rest
	}
}

// appendToken appends what a token stands for.
func appendToken(b []byte, token string) ([]byte, bool) {
	if token == "%" {
		return b, true
	}
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '%' {
			if i+2 >= len(token) {
				return nil, false
			}
			high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if high < 0 || low < 0 {
				return nil, false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		b = append(b, c)
	}
	return b, token != ""
}
