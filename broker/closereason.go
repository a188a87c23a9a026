package broker

import (
	"math/rand/v2"
	"time"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// CloseReason says why the server ends a stream and what the client should do. The
// $close event carries it.
type CloseReason struct {
	Code      int
	Reason    string
	Reconnect bool
	// RetryAfter is how long a client that reconnects should wait. A random time up to
	// Spread is added, so that clients do not all come back at once.
	RetryAfter, Spread time.Duration
	channel            schemas.Channel // that was deleted; "" for other reasons
}

// CloseReasons returns every reason for which the server ends a stream, ordered by code.
func CloseReasons() []CloseReason {
	return []CloseReason{
		runEnded(), tokenExpired(), Draining(), SlowConsumer(), MaxAge(), EngineUnavailable(),
		TooManyStreams(), TokenRevoked(), Disconnected(), channelDeleted(""),
	}
}

// runEnded ends a stream that was asked for until the end of the run.
func runEnded() CloseReason { return CloseReason{Code: 4000, Reason: "run_ended"} }

// tokenExpired ends a stream in the second in which its token expires.
func tokenExpired() CloseReason {
	return CloseReason{Code: 4001, Reason: "token_expired", Reconnect: true, RetryAfter: 250 * time.Millisecond}
}

// Draining ends a stream because the server is stopping.
func Draining() CloseReason {
	return CloseReason{Code: 4002, Reason: "server_draining", Reconnect: true, RetryAfter: 250 * time.Millisecond, Spread: 2 * time.Second}
}

// SlowConsumer ends a stream whose client cannot keep up: its socket accepted nothing
// for the write timeout, or what it should get next is no longer in memory.
func SlowConsumer() CloseReason {
	return CloseReason{Code: 4003, Reason: "slow_consumer", Reconnect: true, RetryAfter: time.Second}
}

// MaxAge ends a stream that has reached the configured maximum age, or has to be asked for
// again for another reason.
func MaxAge() CloseReason {
	return CloseReason{Code: 4004, Reason: "max_age", Reconnect: true, RetryAfter: 250 * time.Millisecond}
}

// EngineUnavailable ends a stream that cannot be served at the moment.
func EngineUnavailable() CloseReason {
	return CloseReason{Code: 4005, Reason: "engine_unavailable", Reconnect: true, RetryAfter: time.Second, Spread: 4 * time.Second}
}

// TooManyStreams refuses a stream that would exceed a limit.
func TooManyStreams() CloseReason {
	return CloseReason{Code: 4029, Reason: "too_many_streams", Reconnect: true, RetryAfter: 5 * time.Second, Spread: 5 * time.Second}
}

// TokenRevoked ends the streams of a revoked token.
func TokenRevoked() CloseReason { return CloseReason{Code: 4401, Reason: "token_revoked"} }

// Disconnected ends streams that an administrator disconnects.
func Disconnected() CloseReason { return CloseReason{Code: 4403, Reason: "disconnected"} }

// channelDeleted ends the streams that named a deleted channel.
func channelDeleted(channel schemas.Channel) CloseReason {
	return CloseReason{Code: 4410, Reason: "channel_deleted", channel: channel}
}

// event returns the $close event at the given position, which may be "".
func (r CloseReason) event(id string) control {
	data := closeData{Code: r.Code, Reason: r.Reason, Reconnect: r.Reconnect, Channel: r.channel}
	c := control{event: eventClose, id: id}
	if r.Reconnect {
		data.RetryAfter = r.delay().Milliseconds()
	}
	if r.Spread > 0 {
		c.retry = data.RetryAfter
	}
	c.data = data
	return c
}

func (r CloseReason) delay() time.Duration {
	return r.RetryAfter + jitter(r.Spread)
}

// Refusal returns the whole response body for a stream that cannot be served now: a
// single $close that makes the client come back. It repeats lastEventID, if that is an
// id at all, so that the client keeps its position.
func (r CloseReason) Refusal(lastEventID string) []byte {
	if _, err := schemas.ParsePosition(lastEventID); err != nil {
		lastEventID = ""
	}
	c := r.event(lastEventID)
	c.retry = c.data.(closeData).RetryAfter
	return c.encode(ring.SSE)
}

// jitter returns a random duration up to most, to spread load.
func jitter(most time.Duration) time.Duration {
	return rand.N(most + 1)
}
