package nats

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Options say how to reach the cluster, and what to keep there. The zero value of a
// field stands for its default.
type Options struct {
	// URLs are those of the servers of one cluster. A user and password, or a token
	// alone, may stand in front of the host. Default: nats://127.0.0.1:4222.
	URLs []string
	// Name is the prefix of all streams and subjects, so that several services can share
	// an account: 1 to 32 of A-Z a-z 0-9 _ -. Default: sluice.
	Name string
	// Shard is the number of this engine if channels are spread over several, from 0 on.
	// Each has a stream of its own. Only shard 0 has the cluster state.
	Shard int
	// Epoch is the epoch that the stream must have; a new stream gets it. It is that of
	// shard 0. Default: a new stream gets one of its own.
	Epoch uint64
	// Replicas of the streams, 1 to 5. Default: existing streams keep theirs; new ones
	// get as many as there are servers, up to three.
	Replicas int

	// Credentials, at most one of them, and only if the URLs have none.
	CredsFile string // a user's JWT and seed
	NKeyFile  string // a user's seed

	// TLS: files in PEM, or a complete configuration, which takes precedence. CAFile
	// replaces the system's authorities; CertFile and KeyFile are the client's own.
	CAFile   string
	CertFile string
	KeyFile  string
	TLS      *tls.Config

	// Retain is what every channel keeps: at most that many messages, each for at least
	// that long. Default: 256 messages and 10 minutes. A message whose
	// [engine.Entry.Limits] say so is kept longer, up to the longer of Retain.Age and
	// RememberFor. Bytes is ignored.
	Retain engine.Limits
	// LimitsOf returns how much of a channel Load may return; zero fields stand for
	// those of Retain. Default: Retain for all channels.
	LimitsOf func(schemas.Channel) engine.Limits
	// MaxBytes bounds the stream on each server, in bytes. The stream drops its oldest
	// entries first, including remembered keys. 0: no limit.
	MaxBytes int64

	RememberFor time.Duration // how long a publish with a key is remembered, at least 1 s; default 24 h
	RunsFor     time.Duration // how long a run status is kept after its last change; default 30 days

	// MaxEvent is the length of the longest event that may be published, in bytes. A
	// server must take messages of that length. 0: not checked.
	MaxEvent int

	// Outbox puts the end of each run into the outbox. Default: nobody is told.
	Outbox bool

	Timeout time.Duration // how long an Append may take; default 5 s
	CutOff  time.Duration // how long the cluster may be out of reach before readers are sent to other nodes; default 10 s

	Log *slog.Logger // default none

	canaryKept time.Duration // how long the stream keeps a canary that is not renewed; default 10 s
	dialWait   time.Duration // how long a server may take to welcome the engine; default 2 s
}

func (o Options) withDefaults() Options {
	if len(o.URLs) == 0 {
		o.URLs = []string{"nats://127.0.0.1:4222"}
	}
	o.Name = cmp.Or(o.Name, "sluice")
	o.Retain.Messages = cmp.Or(o.Retain.Messages, 256)
	o.Retain.Age = cmp.Or(o.Retain.Age, 10*time.Minute)
	o.RememberFor = cmp.Or(o.RememberFor, 24*time.Hour)
	o.RunsFor = cmp.Or(o.RunsFor, 30*24*time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.CutOff = cmp.Or(o.CutOff, 10*time.Second)
	o.canaryKept = cmp.Or(o.canaryKept, 10*time.Second)
	o.dialWait = cmp.Or(o.dialWait, 2*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.LimitsOf == nil {
		o.LimitsOf = func(schemas.Channel) engine.Limits { return engine.Limits{} }
	}
	return o
}

// check reports all faults of the options at once.
func (o Options) check() error {
	var faults []error
	if !validName(o.Name) {
		faults = append(faults, fmt.Errorf("name %q: 1 to 32 of A-Z a-z 0-9 _ - are allowed", o.Name))
	}
	if o.Replicas < 0 || o.Replicas > 5 {
		faults = append(faults, fmt.Errorf("%d replicas: 1 to 5 are allowed", o.Replicas))
	}
	if o.CredsFile != "" && o.NKeyFile != "" {
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

// slack is how much longer than promised messages are kept: twice the time between two
// marks, plus how far clocks may differ. So everything that is lost by age lies before
// a mark that is itself older than the age; see [control].
const slack = 2*markEvery + 10*time.Second

// maxAge is the longest time that a message is kept.
func (o Options) maxAge() time.Duration { return max(o.Retain.Age, o.RememberFor) }

// ageOf returns how long a channel promises to keep a message.
func (o Options) ageOf(limits engine.Limits) time.Duration {
	if limits.Age <= 0 {
		return o.Retain.Age
	}
	return min(limits.Age, o.maxAge())
}

// keepOf returns for how long the stream keeps a message.
func (o Options) keepOf(limits engine.Limits) time.Duration {
	return max(o.ageOf(limits), o.Retain.Age) + slack
}

// limitsOf returns how much of a channel Load may return. All fields but Bytes are set.
func (o Options) limitsOf(name schemas.Channel) engine.Limits {
	limits := o.LimitsOf(name)
	if limits.Messages <= 0 || limits.Messages > o.Retain.Messages {
		limits.Messages = o.Retain.Messages
	}
	limits.Age = o.ageOf(limits)
	return limits
}
