package broker

import (
	"math/rand/v2"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Ending is why the server ends a stream, and what the client should do: the
// event $close carries it.
type Ending struct {
	Code      int
	Reason    string
	Reconnect bool
	// RetryAfter is how long a client that reconnects should wait; up to Spread
	// is added at random, so that clients do not come back all at once.
	RetryAfter, Spread time.Duration
	channel            schemas.Channel // of a channel_deleted
}

// Endings returns every reason for which the server ends a stream, in the order
// of their codes. Each function below returns one of them.
func Endings() []Ending {
	return []Ending{
		TokenExpired(), Draining(), SlowConsumer(), MaxAge(), EngineUnavailable(),
		TooManyStreams(), TokenRevoked(), Disconnected(), ChannelDeleted(""),
	}
}

// TokenExpired ends a stream at the second its token expires.
func TokenExpired() Ending {
	return Ending{Code: 4001, Reason: "token_expired", Reconnect: true, RetryAfter: 250 * time.Millisecond}
}

// Draining ends a stream because the server is about to stop.
func Draining() Ending {
	return Ending{Code: 4002, Reason: "server_draining", Reconnect: true, RetryAfter: 250 * time.Millisecond, Spread: 2 * time.Second}
}

// SlowConsumer ends a stream whose socket took nothing for the write time-out.
func SlowConsumer() Ending {
	return Ending{Code: 4003, Reason: "slow_consumer", Reconnect: true, RetryAfter: time.Second}
}

// MaxAge ends a stream that reached the configured maximum age.
func MaxAge() Ending {
	return Ending{Code: 4004, Reason: "max_age", Reconnect: true, RetryAfter: 250 * time.Millisecond}
}

// EngineUnavailable ends a stream that cannot be served now.
func EngineUnavailable() Ending {
	return Ending{Code: 4005, Reason: "engine_unavailable", Reconnect: true, RetryAfter: time.Second, Spread: 4 * time.Second}
}

// TooManyStreams refuses a stream over one of the limits.
func TooManyStreams() Ending {
	return Ending{Code: 4029, Reason: "too_many_streams", Reconnect: true, RetryAfter: 5 * time.Second, Spread: 5 * time.Second}
}

// TokenRevoked ends the streams of a revoked token.
func TokenRevoked() Ending { return Ending{Code: 4401, Reason: "token_revoked"} }

// Disconnected ends streams at an administrator's word.
func Disconnected() Ending { return Ending{Code: 4403, Reason: "disconnected"} }

// ChannelDeleted ends the streams that named a channel which is deleted.
func ChannelDeleted(channel schemas.Channel) Ending {
	return Ending{Code: 4410, Reason: "channel_deleted", channel: channel}
}

// event returns the $close event at the given position, which may be "".
func (e Ending) event(id string) control {
	data := closeData{Code: e.Code, Reason: e.Reason, Reconnect: e.Reconnect, Channel: e.channel}
	c := control{event: eventClose, id: id}
	if e.Reconnect {
		data.RetryAfter = e.delay().Milliseconds()
	}
	if e.Spread > 0 {
		c.retry = data.RetryAfter
	}
	c.data = data
	return c
}

func (e Ending) delay() time.Duration {
	return e.RetryAfter + jitter(e.Spread)
}

// Refusal returns the whole body of a stream that cannot be served now: one
// $close that makes the client come back. lastEventID is the client's own and
// is given back to it, if it is an id at all, so that it keeps its position.
func (e Ending) Refusal(lastEventID string) []byte {
	if _, err := schemas.ParsePosition(lastEventID); err != nil {
		lastEventID = ""
	}
	c := e.event(lastEventID)
	c.retry = c.data.(closeData).RetryAfter
	return c.encode(SSE)
}

// jitter returns a random time up to most, to spread load.
func jitter(most time.Duration) time.Duration {
	return rand.N(most + 1)
}
