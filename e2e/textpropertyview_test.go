package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// noiseNumbers is how many messages of noise a channel has at most.
const noiseNumbers = 64

// textView is what a reader has put together up to an id.
type textView struct {
	isResumed bool              // some of it came over an earlier connection
	settled   bool              // base is known
	base      uint64            // everything above this position has to come
	newest    map[string]uint64 // by channel, the position of its newest message
	texts     map[textName]textSoFar
	parts     map[string]int    // by channel, the number of the next part
	noise     map[string]uint64 // by channel, the numbers of noise that came, as bits
	ended     map[string]bool   // channels whose last message has come
	gaps      []toldGap
	skipped   []skippedPart
}

type textName struct{ channel, topic, id string }

// textSoFar is what a reader has of a text.
type textSoFar struct {
	attempts uint // of which it may be, as bits
	from, to int  // bytes of the text that are there
	begun    bool // the message that begins it came
	done     bool
}

// toldGap is a loss of which a reader was told.
type toldGap struct {
	channel      string
	after, until uint64
}

// skippedPart is a part that a reader did not get between two others.
type skippedPart struct {
	channel string
	number  int
}

func newTextView() *textView {
	return &textView{
		newest: make(map[string]uint64), texts: make(map[textName]textSoFar), parts: make(map[string]int),
		noise: make(map[string]uint64), ended: make(map[string]bool),
	}
}

// positionOf returns the position that an id names.
func positionOf(id string) uint64 {
	_, text, _ := strings.Cut(id, "-")
	seq, _ := strconv.ParseUint(text, 10, 64)
	return seq
}

// resumed returns a copy for a stream that resumes at an id.
func (v *textView) resumed(id string) *textView {
	c := v.clone()
	c.isResumed = true
	c.settle(id)
	return c
}

func (v *textView) opened(f *textReader, id string) {
	if f.replay == "none" {
		v.settle(id)
	}
}

// settle says that everything after an id has to come.
func (v *textView) settle(id string) {
	if !v.settled {
		v.settled, v.base = true, positionOf(id)
	}
}

// asksForAll reports whether the reader has asked for everything that a channel holds.
func (f *textReader) asksForAll() bool {
	n, _ := strconv.Atoi(f.replay)
	return f.replay == "all" || n >= 8
}

// getsAll reports whether the reader must get everything that was ever published to a
// channel.
func (f *textReader) getsAll(p *channelPlan) bool { return p.within && f.asksForAll() }

// getsTexts is getsAll for texts.
func (f *textReader) getsTexts(p *channelPlan) bool {
	return f.getsAll(p) || p.lasting && f.replay == "latest"
}

// mayMiss reports whether a loss can be told for a channel.
func (f *textReader) mayMiss(p *channelPlan) bool {
	switch {
	case p.within:
		return false
	case p.lasting:
		return f.wants("parts") || f.wants("noise")
	}
	return true
}

func (v *textView) gap(f *textReader, data string) (fault string) {
	var g struct {
		Channel, After, Reason string
		ResumesAt              string `json:"resumes_at"`
	}
	if err := json.Unmarshal([]byte(data), &g); err != nil {
		return err.Error()
	}
	p := f.plans[g.Channel]
	// A node that was started again can only guess the reason.
	if p == nil || !f.mayMiss(p) || g.Reason != "overrun" && (g.Reason != "expired" || f.restart == nil) {
		return "is told of a gap"
	}
	until := positionOf(g.ResumesAt)
	if until == 0 {
		until = 1 << 63
	}
	v.gaps = append(v.gaps, toldGap{g.Channel, positionOf(g.After), until})
	return ""
}

// told reports whether the reader was told that a message is lost.
func (v *textView) told(channel string, seq uint64) bool {
	for _, g := range v.gaps {
		if g.channel == channel && g.after < seq && seq < g.until {
			return true
		}
	}
	return false
}

// toldAny reports whether the reader was told that anything of a channel is lost.
func (v *textView) toldAny(channel string) bool {
	return slices.ContainsFunc(v.gaps, func(g toldGap) bool { return g.channel == channel })
}

// heardMessage is what is needed of a message.
type heardMessage struct {
	ID, Channel, Topic, Kind string
	FirstID                  string `json:"first_id"`
	StreamID                 string `json:"stream_id"`
	Offset                   int
	Data                     json.RawMessage
}

func (m heardMessage) String() string {
	data := string(m.Data)
	if len(data) > 60 {
		data = fmt.Sprintf("%.60s… (%d)", data, len(data))
	}
	return fmt.Sprintf("%s of %s/%s %s %s %d %s %s", m.ID, m.Channel, m.Topic, m.Kind, m.StreamID, m.Offset, m.FirstID, data)
}

// message takes a message into account.
func (v *textView) message(f *textReader, m *heardMessage) (fault string) {
	p, seq := f.plans[m.Channel], positionOf(m.ID)
	if p == nil || !f.wants(m.Topic) {
		return "gets what it did not ask for"
	}
	begins := seq
	if m.FirstID != "" {
		begins = positionOf(m.FirstID)
		f.seen.joined.Add(1)
	}
	if begins <= v.newest[m.Channel] || begins > seq {
		return fmt.Sprintf("gets something twice, or in the wrong order: it was at %d in the channel", v.newest[m.Channel])
	}
	v.newest[m.Channel] = seq
	switch m.Topic {
	case "last":
		v.ended[m.Channel] = true
		return ""
	case "noise":
		return v.takeNoise(m)
	case "parts":
		return v.takeParts(f, p, m)
	}
	name := textName{m.Channel, m.Topic, m.StreamID}
	x, fault := v.texts[name].take(p.text(m.StreamID), m, !p.within && !p.lasting && v.toldAny(m.Channel))
	if !x.begun && f.mustBegin(v, p) {
		fault = "gets a text without its beginning"
	}
	v.texts[name] = x
	return fault
}

// mustBegin reports whether a reader gets no text of a channel without its beginning.
func (f *textReader) mustBegin(v *textView, p *channelPlan) bool {
	return f.replay != "none" && !v.isResumed || f.getsTexts(p)
}

func (p *channelPlan) text(id string) *plannedText {
	for _, x := range p.texts {
		if x.id == id {
			return x
		}
	}
	return nil
}

// take takes a message of a text into account, of which something may be lost.
func (x textSoFar) take(plan *plannedText, m *heardMessage, lost bool) (now textSoFar, fault string) {
	if plan == nil || plan.topic != m.Topic {
		return x, "gets an unknown text"
	}
	var data struct {
		Attempt int
		Reason  string
	}
	if m.Kind == "datastream-start" {
		if err := json.Unmarshal(m.Data, &data); err != nil || data.Attempt < 1 || data.Attempt > len(plan.attempts) {
			return x, "gets an unknown attempt"
		}
		if x != (textSoFar{}) && !x.done && !lost || x.attempts >= 1<<data.Attempt {
			return x, fmt.Sprintf("gets a beginning where it has %+v", x)
		}
		return textSoFar{attempts: 1 << data.Attempt, begun: true}, ""
	}
	if lost && x != (textSoFar{}) {
		x = x.rejoined(plan, m)
	}
	switch {
	case x.done:
		return x, fmt.Sprintf("gets more of a text that has ended: %+v", x)
	case x == textSoFar{}: // it has joined in the middle
		x.attempts, x.from, x.to = 1<<(len(plan.attempts)+1)-2, m.Offset, m.Offset
	}
	if m.Kind == "chunk" {
		return x.takeChunk(plan, m)
	}
	x.done = true
	if err := json.Unmarshal(m.Data, &data); err != nil {
		return x, err.Error()
	}
	last := uint(1) << len(plan.attempts)
	switch {
	case data.Reason == "complete" && x.attempts&last != 0 && (x.to == len(plan.attempts[len(plan.attempts)-1]) || x.to == 0 && !x.begun):
		x.attempts = last
	case data.Reason == "superseded" && x.attempts&^last != 0:
		x.attempts &^= last
	default:
		return x, fmt.Sprintf("gets a wrong end of a text: %+v", x)
	}
	return x, ""
}

// rejoined returns where a reader is that was told of a loss and gets a message. If it has
// resumed within the loss, through a node that still has the messages, the one before m is
// missing all the same: of the same attempt, or of a later one, whose beginning was lost.
func (x textSoFar) rejoined(plan *plannedText, m *heardMessage) textSoFar {
	at := m.Offset
	if m.Kind != "chunk" {
		at = len(plan.attempts[len(plan.attempts)-1])
	}
	if at == x.to && !x.done || m.Kind != "chunk" && !strings.Contains(string(m.Data), "complete") {
		return x
	}
	earliest := x.attempts & -x.attempts
	if x.done || at < x.to {
		x.attempts, x.done = 0, false // what it has is of an attempt that has ended
	}
	x.attempts |= (uint(1)<<(len(plan.attempts)+1) - 1) &^ (2*earliest - 1)
	x.from, x.to = at, at
	return x
}

func (x textSoFar) takeChunk(plan *plannedText, m *heardMessage) (now textSoFar, fault string) {
	var piece string
	if err := json.Unmarshal(m.Data, &piece); err != nil {
		return x, err.Error()
	}
	if m.Offset != x.to {
		return x, fmt.Sprintf("gets a chunk at %d after %d bytes", m.Offset, x.to)
	}
	x.to += len(piece)
	for i, text := range plan.attempts {
		if x.to > len(text) || text[m.Offset:x.to] != piece {
			x.attempts &^= 1 << (i + 1)
		}
	}
	if x.attempts == 0 || piece == "" {
		return x, fmt.Sprintf("gets a wrong text: %+v", x)
	}
	return x, ""
}

// takeParts takes one part into account, or several that are joined.
func (v *textView) takeParts(f *textReader, p *channelPlan, m *heardMessage) (fault string) {
	var data struct {
		Type  string
		ID    int
		Delta string
	}
	var number int
	if err := json.Unmarshal(m.Data, &data); err != nil {
		return err.Error()
	}
	if n, err := fmt.Sscanf(data.Delta, "«%d»", &number); n != 1 || number >= len(p.parts) {
		return fmt.Sprintf("gets a bad part: %v", err)
	}
	next, begun := v.parts[m.Channel]
	if !begun && !f.getsAll(p) {
		next = number
	}
	for ; next < number; next++ {
		v.skipped = append(v.skipped, skippedPart{m.Channel, next})
	}
	if next > number {
		return fmt.Sprintf("gets part %d, want %d", number, next)
	}
	rest, group := data.Delta, p.parts[number].group
	for next < len(p.parts) && p.parts[next].group == group && rest != "" {
		if !strings.HasPrefix(rest, p.parts[next].delta) {
			return fmt.Sprintf("gets %q, want part %d", rest, next)
		}
		rest = rest[len(p.parts[next].delta):]
		next++
	}
	if rest != "" || data.Type != typeOf(group) || data.ID != group/2 || (next-number > 1) != (m.FirstID != "") {
		return fmt.Sprintf("gets a wrong part: %q is left", rest)
	}
	v.parts[m.Channel] = next
	return ""
}

func (v *textView) takeNoise(m *heardMessage) (fault string) {
	var data struct{ N int }
	if err := json.Unmarshal(m.Data, &data); err != nil {
		return err.Error()
	}
	if v.noise[m.Channel]&(1<<data.N) != 0 {
		return "gets noise twice"
	}
	v.noise[m.Channel] |= 1 << data.N
	return ""
}

// missing returns what the reader lacks that it was not told of, when the last messages of
// its channels have come.
func (v *textView) missing(f *textReader) (faults []string) {
	add := func(p *channelPlan, format string, args ...any) {
		faults = append(faults, p.name+": "+fmt.Sprintf(format, args...))
	}
	for _, p := range f.plans {
		v.missingTexts(f, p, add)
		p.mu.Lock()
		for number, seq := range p.partIDs {
			next, begun := v.parts[p.name]
			due := f.getsAll(p) || v.settled && seq > v.base
			if f.wants("parts") && due && (!begun || next <= number) && !v.told(p.name, seq) {
				add(p, "it lacks part %d, %d; it is at %d", number, seq, next)
			}
		}
		for number, seq := range p.noiseAt {
			if f.wants("noise") && seq > v.base && v.noise[p.name]&(1<<number) == 0 && !v.told(p.name, seq) {
				add(p, "it lacks noise %d, %d", number, seq)
			}
		}
		for _, s := range v.skipped {
			if s.channel == p.name && !v.told(p.name, p.partIDs[s.number]) {
				add(p, "part %d was left out, %d", s.number, p.partIDs[s.number])
			}
		}
		p.mu.Unlock()
	}
	return faults
}

// missingTexts reports what is missing of the texts of a channel.
func (v *textView) missingTexts(f *textReader, p *channelPlan, add func(*channelPlan, string, ...any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.texts {
		if !f.wants(x.topic) {
			continue
		}
		got := v.texts[textName{p.name, x.topic, x.id}]
		due, all := x.last > v.base, x.first > v.base
		if f.getsTexts(p) {
			due, all = true, true
		}
		complete := got.done && got.attempts == 1<<len(x.attempts)
		switch {
		case complete && (got.begun || !all):
		case !due && got == textSoFar{}:
		case !p.within && !p.lasting && v.told(p.name, x.last):
		default:
			add(p, "of the text %s, from %d to %d, it has %+v", x.id, x.first, x.last, got)
		}
	}
}
