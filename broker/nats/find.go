package nats

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"

	natsio "github.com/nats-io/nats.go"
)

// Head implements [broker.Engine]. What was published before it is called is
// delivered soon afterwards, as [broker.Sink.Reached] then says.
func (e *Engine) Head(ctx context.Context) (uint64, error) {
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	state, err := e.log.info(limited)
	if err == nil {
		// The refusal comes behind whatever the leader had to deliver by then.
		err = e.log.reach(limited, e.canary())
	}
	if err != nil {
		return 0, e.failed(ctx, err)
	}
	e.live.reached(state.State.Last)
	return state.State.Last, nil
}

// subjectReached is what the loop is sent, by this node itself, when everything up to a
// position has arrived.
const subjectReached = "reached"

// reached says that whatever has to be delivered up to a position has arrived.
func (l *live) reached(position uint64) {
	select {
	case l.arriving <- &natsio.Msg{Subject: subjectReached, Reply: strconv.FormatUint(position, 10)}:
	default: // the canary says so soon
	}
}

// Matching implements [broker.Engine].
func (e *Engine) Matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (broker.Found, error) {
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return broker.Found{}, err
	}
	defer cancel()
	found, err := e.matching(limited, pattern, after, limit)
	return found, e.failed(ctx, err)
}

func (e *Engine) matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (found broker.Found, err error) {
	seen := make(map[schemas.Channel]bool)
	add := func(prefix string, s stored) bool {
		if name, ok := channelOf(prefix, s.subject); ok && pattern.Matches(name) && s.seq > max(after, e.control.deleted(name)) {
			seen[name] = true
		}
		return len(seen) <= limit
	}
	for _, prefix := range []string{e.names.messages, e.names.runs} {
		if err := e.newest(ctx, filterOf(prefix, pattern), after+1, func(s stored) bool { return add(prefix, s) }); err != nil {
			return found, err
		}
	}
	for name := range seen {
		found.Channels = append(found.Channels, name)
	}
	slices.Sort(found.Channels)
	if found.More = len(found.Channels) > limit; found.More {
		found.Channels = found.Channels[:limit]
	}
	// Of a channel that is not kept, everything was older than what any channel keeps.
	found.Lost = max(e.control.before(time.Now().Add(-e.opts.Retain.Age)), e.control.deletedOf(pattern),
		e.health.floor.Load(), max(e.health.first.Load(), 1)-1)
	return found, nil
}

// newest calls visit at least for the newest message of each subject that filter
// matches, of those from a position on, until visit returns false.
func (e *Engine) newest(ctx context.Context, filter string, from uint64, visit func(stored) bool) error {
	newest, found, err := e.log.last(ctx, filter)
	if err != nil || !found || newest.seq < from {
		return err
	}
	list, _, err := e.log.lasts(ctx, []string{filter}, e.canary(), from, newest.seq)
	if errors.Is(err, errTooMany) {
		enough := false
		return e.log.fetch(ctx, filter, from, newest.seq, func(s stored) { enough = enough || !visit(s) })
	}
	if err != nil {
		return err
	}
	for _, s := range list {
		if !visit(s) {
			return nil
		}
	}
	return nil
}

// Names implements [broker.Engine].
func (e *Engine) Names(ctx context.Context, prefix string, after schemas.Channel, limit int) ([]schemas.Channel, error) {
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	names, err := e.namesOf(limited, prefix, after)
	return names[:min(limit, len(names))], e.failed(ctx, err)
}

func (e *Engine) namesOf(ctx context.Context, prefix string, after schemas.Channel) (names []schemas.Channel, err error) {
	pattern := schemas.Pattern("*")
	if i := strings.LastIndexByte(prefix, ':'); i >= 0 {
		pattern = schemas.Pattern(prefix[:i+1] + "*")
	}
	for _, place := range []string{e.names.messages, e.names.runs} {
		for offset, more := 0, true; more; {
			state, err := e.log.infoOf(ctx, filterOf(place, pattern), offset)
			if err != nil {
				return nil, err
			}
			for subject := range state.State.Subjects {
				name, ok := channelOf(place, subject)
				if ok && name > after && strings.HasPrefix(string(name), prefix) {
					names = append(names, name)
				}
			}
			offset += len(state.State.Subjects)
			more = len(state.State.Subjects) > 0 && offset < state.Total
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
