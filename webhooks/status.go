package webhooks

import (
	"maps"
	"slices"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// Stats are counters since the start, and current figures, of this node.
type Stats struct {
	Delivered      int64
	FailedAttempts int64
	GivenUp        map[string]int64 // by reason, with all of [Reasons]
	Pending        int              // events that are pending for an endpoint, over all endpoints
	Sending        bool             // this node is the one that sends, for at least a part of the channels
}

func (s *Stats) givenUp(why reason) {
	if s.GivenUp == nil {
		s.GivenUp = make(map[string]int64)
	}
	s.GivenUp[string(why)]++
}

// Stats returns the figures. Those of a nil sender are 0.
func (s *Sender) Stats() Stats {
	if s == nil {
		s = new(Sender)
	}
	sending := s.leads()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.counts
	now.GivenUp, now.Sending = make(map[string]int64), sending
	for _, why := range Reasons() {
		now.GivenUp[why] = 0
	}
	maps.Copy(now.GivenUp, s.counts.GivenUp)
	for _, e := range s.endpoints {
		now.Pending += e.pending
	}
	for _, src := range s.sources {
		if local, memory := src.box.(*outbox.Local); memory {
			now.GivenUp[string(reasonOverflow)] += local.Dropped()
		}
	}
	return now
}

// Status is how sending to an endpoint goes, as GET /v1/webhooks tells it. Counters are those
// of each node since its start.
type Status struct {
	URL         string            `json:"url"` // without user, password and query
	Events      []string          `json:"events"`
	Channels    []schemas.Pattern `json:"channels"`
	Pending     int               `json:"pending"`
	Delivered   int64             `json:"delivered"`
	GivenUp     int64             `json:"given_up"`
	LastAttempt *schemas.Time     `json:"last_attempt"` // nil: there was none
	LastStatus  int               `json:"last_status"`  // 0: there was no answer
	LastError   string            `json:"last_error"`   // "": the last attempt succeeded
	NextAttempt *schemas.Time     `json:"next_attempt"` // nil: nothing is pending, or it is being sent
}

// leads reports whether this node is the one that sends, for at least a part of the channels.
func (s *Sender) leads() bool { return slices.ContainsFunc(s.sources, (*source).isLeading) }

// Fault returns why the file that is there now is not in use, "" if it is.
func (s *Sender) Fault() string {
	if s == nil {
		return ""
	}
	return s.file.Fault()
}

func (e *endpoint) status() Status {
	now := Status{
		URL: e.settings.shown(), Events: slices.Clone(e.settings.events), Channels: slices.Clone(e.settings.channels),
		Pending: e.pending, Delivered: e.delivered, GivenUp: e.givenUp, LastStatus: e.lastStatus, LastError: e.lastError,
	}
	if !e.lastAttempt.IsZero() {
		at := schemas.TimeOf(e.lastAttempt)
		now.LastAttempt = &at
	}
	if len(e.due) > 0 && e.pending > 0 {
		next := e.due[0].due
		if e.rests.After(next) {
			next = e.rests
		}
		at := schemas.TimeOf(next)
		now.NextAttempt = &at
	}
	return now
}
