package webhooks

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

const (
	// busTopic is where nodes tell each other how it goes.
	busTopic = "webhooks"
	// reportEvery is how often a node tells the others, and reportCounts how long that counts.
	reportEvery  = 2 * time.Second
	reportCounts = 10 * time.Second
	maxReports   = 1024 // of other nodes
)

// Bus brings what a node says to all nodes, or loses it.
type Bus interface {
	Broadcast(topic string, payload []byte) error
	Listen(topic string, take func(payload []byte)) (stop func(), err error)
}

// report is how it goes on one node.
type report struct {
	Node     string            `json:"node"`
	Sending  bool              `json:"sending"`
	Webhooks map[string]Status `json:"webhooks"` // by the keys of endpoints

	at time.Time // when it came
}

// own returns the report of this node.
func (s *Sender) own() report {
	r := report{Node: s.node, Sending: s.leads(), Webhooks: make(map[string]Status)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		r.Webhooks[e.key] = e.status()
	}
	return r
}

// tellOthers tells other nodes how it goes, until life ends.
func (s *Sender) tellOthers() {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		text, err := json.Marshal(s.own())
		if err == nil {
			err = s.opts.Bus.Broadcast(busTopic, text)
		}
		if err != nil {
			s.opts.Log.Debug("other nodes not told of webhooks", slog.Any("error", err))
		}
		select {
		case <-s.life.Done():
			return
		case <-ticker.C:
		}
	}
}

// hear takes what another node says, or this one.
func (s *Sender) hear(payload []byte) {
	var r report
	if json.Unmarshal(payload, &r) != nil || r.Node == s.node {
		return
	}
	r.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.others, func(_ string, old report) bool { return r.at.Sub(old.at) > reportCounts })
	if len(s.others) < maxReports {
		s.others[r.Node] = r
	}
}

// reports returns what counts of what other nodes have said.
func (s *Sender) reports() (all []report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, r := range s.others {
		if now.Sub(r.at) <= reportCounts {
			all = append(all, r)
		}
	}
	return all
}

// Status returns how it goes on all nodes together, in the order of the file, and whether any
// of them sends.
func (s *Sender) Status() (all []Status, sending bool) {
	own, others := s.own(), s.reports()
	sending = own.Sending || slices.ContainsFunc(others, func(r report) bool { return r.Sending })
	s.mu.Lock()
	keys := make([]string, len(s.endpoints))
	for i, e := range s.endpoints {
		keys[i] = e.key
	}
	s.mu.Unlock()
	all = []Status{}
	for _, key := range keys {
		now, known := own.Webhooks[key]
		for _, r := range others {
			now.add(r.Webhooks[key])
		}
		if known { // else the file has changed just now
			all = append(all, now)
		}
	}
	return all, sending
}

// add adds how it goes on another node.
func (s *Status) add(o Status) {
	s.Pending += o.Pending
	s.Delivered += o.Delivered
	s.GivenUp += o.GivenUp
	if o.LastAttempt != nil && (s.LastAttempt == nil || *o.LastAttempt > *s.LastAttempt) {
		s.LastAttempt, s.LastStatus, s.LastError = o.LastAttempt, o.LastStatus, o.LastError
	}
	s.NextAttempt = earlier(s.NextAttempt, o.NextAttempt)
}

// earlier returns the earlier one of two times, either of which may be missing.
func earlier(a, b *schemas.Time) *schemas.Time {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}
