package handlers

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/internal/system"
	"github.com/sluicehq/sluice/schemas"
)

// system reports whether the client asks for the channel $system, alone or with others.
func (a *asking) system() bool {
	for _, channel := range a.channels {
		if channel.name == string(system.Channel) {
			return true
		}
	}
	return false
}

// systemSelector returns the channel $system with the topics that were asked for. It is read
// alone, since its ids are not those of other channels, and only by who may do everything.
func systemSelector(who *auth.Principal, asked *asking) ([]broker.Selector, error) {
	switch {
	case !who.Admin:
		return nil, fmt.Errorf("%w: reading channel %q: only an API key that may do everything may do this", ErrForbidden, system.Channel)
	case len(asked.channels) > 1:
		return nil, fmt.Errorf("%w: channel %q is read in a stream of its own", ErrMalformed, system.Channel)
	case asked.until != "":
		return nil, fmt.Errorf("%w: channel %q has no run, so until does not apply", ErrMalformed, system.Channel)
	}
	topics := asked.channels[0].topics
	if len(topics) == 0 {
		topics = asked.topics
	}
	return []broker.Selector{{Channel: schemas.Pattern(system.Channel), Topics: schemas.NewTopicSet(topics)}}, nil
}

// isSystem reports whether sub is what systemSelector returned.
func isSystem(sub broker.Subscription) bool {
	return sub.Channels[0].Channel == schemas.Pattern(system.Channel)
}

// requests returns the figures about requests for $system.
func (a *api) requests() system.Requests {
	return system.Requests{
		ClientErrors: a.metrics.clientErrors.Load(), ServerErrors: a.metrics.serverErrors.Load(),
		Refused: a.metrics.refused.Load(), LogLinesLost: int64(a.LogLost()),
	}
}

// Drain ends the streams that [broker.Broker.Drain] does not know: those of $system. It
// returns when they have ended, or with the error of ctx.
func (s *Service) Drain(ctx context.Context) error { return s.api.system.Drain(ctx) }

// Close ends what goes on without a request. It is idempotent.
func (s *Service) Close() error { return s.api.system.Close() }
