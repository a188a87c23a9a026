package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// Options are how to reach the cluster, and what is kept there. The zero value of
// a field stands for its default.
type Options struct {
	URLs []string // of servers of one cluster; default nats://127.0.0.1:4222
	// Name begins the names of streams and subjects, so that several services can
	// share an account: 1 to 32 of A-Z a-z 0-9 _ -. Default sluice.
	Name string
	// Shard says which of several engines this is, from 0 on, that channels are spread
	// over; each has a stream of its own. Only that of shard 0 has facts.
	Shard int
	// Epoch is what the stream must have, and is made with: that of shard 0. 0: its own.
	Epoch uint64
	// Replicas of the streams, 1 to 5. Default: those that the streams have; new ones
	// get as many as there are servers, up to three.
	Replicas int

	// Credentials, of one kind.
	CredsFile string // a user's JWT and seed
	NKeyFile  string // a user's seed
	User      string
	Password  string
	Token     string

	// TLS: files in PEM, or a finished configuration, which wins. CAFile verifies the
	// servers in place of the system's; CertFile and KeyFile are the client's own.
	CAFile   string
	CertFile string
	KeyFile  string
	TLS      *tls.Config

	// Retain is what is kept of any channel: at most so many messages, and for at
	// least that long. Default: those of the broker, 256 messages and 10 minutes.
	// What a message keeps longer is [broker.Entry.Limits], up to the longer one of
	// Retain.Age and RememberFor. Bytes is not looked at.
	Retain broker.Limits
	// LimitsOf returns what Load returns of a channel at most; zero fields for
	// Retain's. Default: Retain for all.
	LimitsOf func(schemas.Channel) broker.Limits
	// MaxBytes bounds the stream on each server; the oldest goes first, also what is
	// remembered. 0: no limit.
	MaxBytes int64

	RememberFor time.Duration // how long a publish with a key is remembered, 1 s at least; default 24 h
	RunsFor     time.Duration // how long a run status is kept after its last change; default 30 days

	Timeout time.Duration // how long an Append may take; default 5 s
	CutOff  time.Duration // how long the cluster may be out of reach before readers are sent elsewhere; default 10 s

	Log *slog.Logger // default none
}

func (o Options) withDefaults() Options {
	if len(o.URLs) == 0 {
		o.URLs = []string{"nats://127.0.0.1:4222"}
	}
	defaultTo(&o.Name, "sluice")
	defaultTo(&o.Retain.Messages, 256)
	defaultTo(&o.Retain.Age, 10*time.Minute)
	defaultTo(&o.RememberFor, 24*time.Hour)
	defaultTo(&o.RunsFor, 30*24*time.Hour)
	defaultTo(&o.Timeout, 5*time.Second)
	defaultTo(&o.CutOff, 10*time.Second)
	defaultTo(&o.Log, slog.New(slog.DiscardHandler))
	if o.LimitsOf == nil {
		o.LimitsOf = func(schemas.Channel) broker.Limits { return broker.Limits{} }
	}
	return o
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check reports all faults of o at once.
func (o Options) check() error {
	var faults []error
	if !validName(o.Name) {
		faults = append(faults, fmt.Errorf("name %q: 1 to 32 of A-Z a-z 0-9 _ - are allowed", o.Name))
	}
	if o.Replicas < 0 || o.Replicas > 5 {
		faults = append(faults, fmt.Errorf("%d replicas: 1 to 5 are allowed", o.Replicas))
	}
	kinds := 0
	for _, credential := range []string{o.CredsFile, o.NKeyFile, o.User, o.Token} {
		if credential != "" {
			kinds++
		}
	}
	if kinds > 1 {
		faults = append(faults, errors.New("more than one kind of credentials"))
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		faults = append(faults, errors.New("a certificate needs its key, and a key its certificate"))
	}
	if o.RememberFor < time.Second || o.Retain.Age < time.Second || o.RunsFor < time.Second {
		faults = append(faults, errors.New("nothing can be kept for less than a second"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("nats: options: %w", err)
	}
	return nil
}

func validName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// slack is how much longer than a channel promises its messages are kept: twice the
// time between two marks, and as much as clocks may differ. So what is lost by age
// always has a mark above it that is older than the age itself; see marks.go.
const slack = 2*markEvery + 10*time.Second

// maxAge is the longest that a message is kept.
func (o Options) maxAge() time.Duration { return max(o.Retain.Age, o.RememberFor) }

// ageOf returns how long a channel promises to keep a message.
func (o Options) ageOf(limits broker.Limits) time.Duration {
	if limits.Age <= 0 {
		return o.Retain.Age
	}
	return min(limits.Age, o.maxAge())
}

// limitsOf returns what Load returns of a channel at most, all fields set but Bytes.
func (o Options) limitsOf(name schemas.Channel) broker.Limits {
	limits := o.LimitsOf(name)
	if limits.Messages <= 0 || limits.Messages > o.Retain.Messages {
		limits.Messages = o.Retain.Messages
	}
	limits.Age = o.ageOf(limits)
	return limits
}
