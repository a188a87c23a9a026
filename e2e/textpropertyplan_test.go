package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"unicode/utf8"
)

// channelPlan is what is published to one channel, and what its publishers were told. The
// topics are a and b for texts, parts for JSON that is held as one, noise, and last for
// the last message.
type channelPlan struct {
	name  string
	texts []*plannedText
	parts []plannedPart
	noise int // messages
	// within says that the limits hold everything, and lasting that they hold the texts,
	// since each is the only one of its topic.
	within, lasting bool

	mu      sync.Mutex
	partIDs []uint64       // guarded by mu; positions
	noiseAt map[int]uint64 // guarded by mu; positions of those that were acknowledged
}

// plannedText is a text. Every attempt but the last one is given up in the middle.
type plannedText struct {
	topic, id   string
	attempts    []string
	first, last uint64 // positions, when it is complete
}

// plannedPart is a JSON message. Its delta begins with its number.
type plannedPart struct {
	group int // those that follow each other in a group are held as one
	delta string
}

func (p plannedPart) data() string {
	return fmt.Sprintf(`{"type":"%s","id":%d,"delta":%s}`, typeOf(p.group), p.group/2, quoted(p.delta))
}

func typeOf(group int) string { return [...]string{"text", "reasoning"}[group%2] }

// quietChannel plans no more messages than a channel holds, if texts, and parts of one
// group, count as one.
func quietChannel(random *rand.Rand) *channelPlan {
	p := &channelPlan{within: true}
	for _, topic := range []string{"a", "b"} {
		if random.IntN(2) == 0 {
			p.addText(random, topic, 2)
		} else {
			p.addText(random, topic, 1)
			p.addText(random, topic, 1)
		}
	}
	p.addParts(random, 3)
	return p
}

// noisyChannel plans a text for each topic, and so many other messages that only the latest
// of each topic are still held at the end.
func noisyChannel(random *rand.Rand) *channelPlan {
	p := &channelPlan{lasting: true, noise: 20 + random.IntN(noiseNumbers-20)}
	p.addText(random, "a", 1)
	p.addText(random, "b", 1)
	p.addParts(random, 1+random.IntN(10))
	return p
}

// crowdedChannel plans more texts than a channel holds.
func crowdedChannel(random *rand.Rand) *channelPlan {
	p := &channelPlan{noise: random.IntN(20)}
	for range 6 + random.IntN(10) {
		p.addText(random, [...]string{"a", "b"}[random.IntN(2)], 1+random.IntN(4)/3)
	}
	p.addParts(random, 10)
	return p
}

func (p *channelPlan) addText(random *rand.Rand, topic string, attempts int) {
	x := &plannedText{topic: topic, id: fmt.Sprint("s", len(p.texts))}
	for range attempts {
		n := random.IntN(3000)
		switch random.IntN(10) {
		case 0:
			n = random.IntN(4)
		case 1:
			n = random.IntN(60_000)
		}
		x.attempts = append(x.attempts, randomText(random, n))
	}
	p.texts = append(p.texts, x)
}

func (p *channelPlan) addParts(random *rand.Rand, groups int) {
	for group := range groups {
		for range 1 + random.IntN(40/groups+4) {
			delta := fmt.Sprintf("«%d»", len(p.parts)) + randomText(random, random.IntN(60))
			p.parts = append(p.parts, plannedPart{group, delta})
		}
	}
}

// randomText returns a text of at most n bytes, with characters of one to four bytes.
func randomText(random *rand.Rand, n int) string {
	ranges := [...][2]rune{{0, 0x20}, {0x20, 0x80}, {0x20, 0x80}, {0x80, 0x800}, {0x2000, 0x2100}, {0x800, 0xd800}, {0xe000, 0x10000}, {0x10000, utf8.MaxRune}}
	var b strings.Builder
	for {
		of := ranges[random.IntN(len(ranges))]
		for range 1 + random.IntN(8) {
			r := of[0] + random.Int32N(of[1]-of[0])
			if r == '\ufeff' {
				continue // the decoder refuses a byte order mark anywhere
			}
			if b.Len()+utf8.RuneLen(r) > n {
				return b.String()
			}
			b.WriteRune(r)
		}
	}
}

// quoted returns text as JSON.
func quoted(text string) string {
	data, _ := json.Marshal(text) // a string can always be encoded
	return string(data)
}
