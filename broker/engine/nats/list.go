package nats

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

const (
	lastsAtOnce  = 500 // channels whose newest messages one request asks for; a server refuses more than 1,024
	firstsAtOnce = 16  // channels whose oldest messages are requested at the same time
)

// List implements [engine.Engine].
func (e *Engine) List(ctx context.Context, prefix string, after schemas.Channel, limit int) ([]engine.Summary, error) {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	list, err := e.list(limited, prefix, after, limit)
	return list, e.failed(ctx, err)
}

func (e *Engine) list(ctx context.Context, prefix string, after schemas.Channel, limit int) (list []engine.Summary, err error) {
	for limit > len(list) {
		page, asOf, ok := e.listing.page(prefix, after, limit-len(list))
		if !ok {
			names, last, whole, err := e.namesOf(ctx, prefix, after)
			if err != nil {
				return nil, err
			}
			e.listing.keep(prefix, after, names, last, whole)
			asOf = last
			page = names[:min(limit-len(list), len(names))]
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].name
		for some := range slices.Chunk(page, lastsAtOnce) { // channels that have gone meanwhile are left out
			found, err := e.summaries(ctx, some, asOf)
			if err != nil {
				return nil, err
			}
			list = append(list, found...)
		}
	}
	return list, nil
}

// namesOf asks the server for the names that begin with prefix and come after the given
// one, in order. It returns the first of them, the position as of which they are, and
// whether there are no more.
func (e *Engine) namesOf(ctx context.Context, prefix string, after schemas.Channel) (names []listed, asOf uint64, whole bool, err error) {
	pattern := schemas.Pattern("*")
	if i := strings.LastIndexByte(prefix, ':'); i >= 0 {
		pattern = schemas.Pattern(prefix[:i+1] + "*")
	}
	whole = true
	for _, place := range []string{e.names.messages, e.names.runs} {
		for offset, more := 0, true; more; {
			info, err := e.stream.Subjects(ctx, filterOf(place, pattern), offset)
			if err != nil {
				return nil, 0, false, err
			}
			for subject, messages := range info.State.Subjects {
				name, ok := channelOf(place, subject)
				if !ok || name <= after || !strings.HasPrefix(string(name), prefix) {
					continue
				}
				if place == e.names.runs {
					messages = 0
				}
				names = append(names, listed{name, int(messages)})
			}
			names, whole = firstOf(names, whole)
			asOf = max(asOf, info.State.LastSeq)
			offset += len(info.State.Subjects)
			more = len(info.State.Subjects) > 0 && offset < info.Total
		}
	}
	return names, asOf, whole, nil
}

// summaries describes channels. It leaves out those of which nothing is kept.
func (e *Engine) summaries(ctx context.Context, names []listed, asOf uint64) ([]engine.Summary, error) {
	newest, err := e.newestOf(ctx, e.names.messages, names, asOf)
	if err != nil {
		return nil, err
	}
	runs, err := e.newestOf(ctx, e.names.runs, names, asOf) // after the messages, so that a run is not older than they are
	if err != nil {
		return nil, err
	}
	list := make([]engine.Summary, len(names))
	errs := make([]error, len(names))
	turns := make(chan struct{}, firstsAtOnce)
	var all sync.WaitGroup
	for i, l := range names {
		turns <- struct{}{}
		all.Go(func() { // ends with ctx
			defer func() { <-turns }()
			list[i], errs[i] = e.summary(ctx, l, newest[l.name], runs[l.name])
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(list, func(s engine.Summary) bool { return s.Messages == 0 && s.Run == nil }), nil
}

// newestOf returns the newest message of each channel under a prefix, from a replica
// that is not behind the position.
func (e *Engine) newestOf(ctx context.Context, place string, names []listed, asOf uint64) (map[schemas.Channel]jetstream.Message, error) {
	subjects := make([]string, len(names))
	for i, l := range names {
		subjects[i] = subjectOf(place, l.name)
	}
	found, _, err := e.stream.LastPerSubject(ctx, subjects, e.canary, 0, asOf)
	newest := make(map[schemas.Channel]jetstream.Message, len(names))
	for _, m := range found {
		if name, ok := channelOf(place, m.Subject); ok {
			newest[name] = m
		}
	}
	return newest, err
}

// summary describes a channel from its newest message and its run record; zero: none.
func (e *Engine) summary(ctx context.Context, l listed, newest, run jetstream.Message) (s engine.Summary, err error) {
	s.Channel = l.name
	deleted, limits := e.control.deletedAt(l.name), e.opts.limitsOf(l.name)
	if run.Sequence > deleted {
		latest, err := e.runOf(run, l.name)
		if err != nil {
			return s, err
		}
		s.Run = &latest.Message
	}
	oldest := time.Now().Add(-limits.Age)
	if newest.Sequence <= deleted || newest.Time.Before(oldest) {
		return s, nil
	}
	first, found, err := e.stream.Next(ctx, subjectOf(e.names.messages, l.name), max(deleted, e.control.lostBefore(oldest))+1)
	if err != nil {
		return s, err
	}
	if !found {
		first = newest
	}
	s.First, s.Last = first.Sequence, max(newest.Sequence, first.Sequence)
	if s.Messages = 1; s.Last > s.First {
		s.Messages = max(2, min(l.messages, limits.Messages))
	}
	s.Bytes = int64(s.Messages) * int64(len(first.Data)+len(newest.Data)) / 2
	return s, nil
}
