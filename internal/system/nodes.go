package system

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// TopicNodes has [Nodes], every other second.
const TopicNodes schemas.Topic = "nodes"

const (
	busTopic = "system"
	// silence is how long a node is listed without having answered.
	silence = 3 * nodesEvery
	// maxNodes bounds the list, whatever is sent over the bus.
	maxNodes = 100
)

// Bus connects the nodes. It may lose what is sent.
type Bus interface {
	// Broadcast sends a payload to every node, this one included.
	Broadcast(topic string, payload []byte) error
	// Listen has take called with each payload, in one goroutine, until stop is called.
	Listen(topic string, take func(payload []byte)) (stop func(), err error)
}

// Nodes are the nodes that answered lately, by name.
type Nodes struct {
	Nodes []Summary `json:"nodes"`
}

// Summary is the part of an [Overview] that a node tells to the others.
type Summary struct {
	ID          string       `json:"id"` // of the process
	Node        Node         `json:"node"`
	Why         string       `json:"not_ready,omitempty"`
	Channels    int64        `json:"channels"`
	Streams     int          `json:"streams"`
	Published   int64        `json:"published"`
	Delivered   int64        `json:"delivered"`
	MemoryBytes int64        `json:"memory_bytes"`
	At          schemas.Time `json:"at"`
}

// letter is what goes over the bus: a question to all nodes, or an answer.
type letter struct {
	Ask    bool     `json:"ask,omitempty"`
	Answer *Summary `json:"answer,omitempty"`
}

// heard is a node that has answered.
type heard struct {
	summary Summary
	at      time.Time
}

// newProcessID returns a name for this process that no other one has.
func newProcessID() string { return rand.Text()[:16] }

// listen makes this node answer those whose channel is read.
func (s *System) listen() {
	if s.opts.Bus == nil {
		return
	}
	deaf, err := s.opts.Bus.Listen(busTopic, s.receive)
	if err != nil {
		s.opts.Log.Warn("nodes cannot be heard", slog.Any("error", err))
		return
	}
	s.deaf = deaf
}

// ask asks all nodes. What they answer until the next time is listed then.
func (s *System) ask() {
	if s.opts.Bus != nil {
		s.send(letter{Ask: true})
	}
}

// receive takes a letter. A node hears the answers to the others' questions too, so that its own
// first list is whole.
func (s *System) receive(payload []byte) {
	var l letter
	if err := json.Unmarshal(payload, &l); err != nil {
		s.opts.Log.Debug("letter between nodes not understood", slog.Any("error", err))
		return
	}
	if l.Ask && s.owesAnswer(time.Now()) {
		summary := s.summary()
		s.send(letter{Answer: &summary})
	}
	if l.Answer != nil {
		s.hear(*l.Answer, time.Now())
	}
}

// owesAnswer reports whether a question needs an answer now. Every asker hears every answer, so
// one in half the interval is enough.
func (s *System) owesAnswer(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || now.Sub(s.answered) < nodesEvery/2 {
		return false
	}
	s.answered = now
	return true
}

func (s *System) hear(summary Summary, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetSilent(now)
	if _, known := s.heard[summary.ID]; known || len(s.heard) < maxNodes {
		s.heard[summary.ID] = heard{summary, now}
	}
}

// forgetSilent removes the nodes that have not answered lately. The caller holds s.mu.
func (s *System) forgetSilent(now time.Time) {
	maps.DeleteFunc(s.heard, func(_ string, h heard) bool { return now.Sub(h.at) > silence })
}

func (s *System) send(l letter) {
	payload, err := json.Marshal(l)
	if err == nil {
		err = s.opts.Bus.Broadcast(busTopic, payload)
	}
	if err != nil {
		s.opts.Log.Debug("letter to other nodes not sent", slog.Any("error", err))
	}
}

// nodes returns this node and the others that have answered lately.
func (s *System) nodes(now time.Time) Nodes {
	own := s.summary()
	list := []Summary{own}
	s.mu.Lock()
	s.forgetSilent(now)
	for id, h := range s.heard {
		if id != own.ID {
			list = append(list, h.summary)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b Summary) int { return cmp.Or(cmp.Compare(a.Node.Name, b.Node.Name), cmp.Compare(a.ID, b.ID)) })
	return Nodes{list}
}

func (s *System) summary() Summary {
	b := s.opts.Broker.Stats()
	sum := Summary{
		ID: s.id, Node: s.opts.Node, Channels: b.Channels, Streams: b.Streams, Published: b.Published, Delivered: b.Delivered,
		MemoryBytes: memoryBytes(), At: schemas.TimeOf(time.Now()),
	}
	if err := s.opts.Broker.Ready(); err != nil {
		sum.Why = err.Error()
	}
	return sum
}
