package nats

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/events"
	"github.com/sluicehq/sluice/schemas"
)

// subjects are the subjects of one shard's stream. All begin with "<name>.<shard>.".
type subjects struct {
	messages   string // + channel: what is published
	runs       string // + channel: records of the latest run message
	keys       string // + hash: records of keys
	archives   string // + hash: blocks of a channel; they are among the keys, where nodes of older versions keep them, too
	latests    string // + hash: the latest messages of quiet topics of a channel; among the keys for the same reason
	texts      string // + hash: records of texts; among the keys for the same reason
	control    string // marks and deletions, in one order
	marks      string // + number of the interval, see markSlot
	deletions  string // + channel
	canaries   string // + node
	events     string // what package events keeps
	published  string // what nodes tell each other, see [latest]; not stored
	broadcasts string // + topic: what nodes broadcast, see [Engine.Broadcast]; not stored
	live       string // replaces all where the stream republishes
	all        string
}

func subjectsOf(name string, shard int) subjects {
	all := fmt.Sprintf("%s.%d.", name, shard)
	return subjects{
		messages: all + "m.", runs: all + "r.", keys: all + "k.", archives: all + "k.a-", latests: all + "k.l-", texts: all + "k.t-",
		control: all + "x.", marks: all + "x.t.", deletions: all + "x.d.",
		canaries: all + "c.", events: all + "w.", published: all + "p", broadcasts: all + "b.", live: all + "live.", all: all,
	}
}

// stored lists what the stream keeps.
func (s subjects) stored() []string {
	return []string{s.messages + ">", s.runs + ">", s.keys + "*", s.control + ">", s.canaries + "*", events.Subjects(s.events)}
}

// liveOf returns where the stream republishes what is stored under subject.
func (s subjects) liveOf(subject string) string {
	return s.live + strings.TrimPrefix(subject, s.all)
}

// key returns the subject of the record of a publish with a key.
func (s subjects) key(channel schemas.Channel, topic schemas.Topic, key string) string {
	return s.keys + tokenOf(string(channel)+"\n"+string(topic)+"\n"+key)
}

// archive returns the subject of the blocks of a channel.
func (s subjects) archive(channel schemas.Channel) string {
	return s.archives + tokenOf(string(channel))
}

// latest returns the subject of the record of a channel's quiet topics.
func (s subjects) latest(channel schemas.Channel) string {
	return s.latests + tokenOf(string(channel))
}

// text returns the subject of the record of a text.
func (s subjects) text(name engine.TextName) string {
	return s.texts + tokenOf(string(name.Channel)+"\n"+string(name.Topic)+"\n"+name.StreamID)
}

// tokenOf returns the hash of a text, as a token of upper-case letters and digits.
func tokenOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20])
}

const hexDigits = "0123456789ABCDEF"

// appendChannel appends a channel's name as tokens: one for each part between colons.
// Bytes with a meaning in subjects, and %, become % and two hex digits; an empty part
// becomes a lone %.
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

// filterOf returns a filter that matches the subjects of all channels that a pattern
// matches. It also matches the channel whose name is the pattern's prefix with its
// colon; use [schemas.Pattern.Matches] to tell.
func filterOf(prefix string, pattern schemas.Pattern) string {
	if name, exact := pattern.Exact(); exact {
		return subjectOf(prefix, name)
	}
	if pattern == "*" {
		return prefix + ">"
	}
	return subjectOf(prefix, schemas.Channel(strings.TrimSuffix(string(pattern), ":*"))) + ".>"
}

// channelOf undoes subjectOf. It reports false for subjects that subjectOf does not make.
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
