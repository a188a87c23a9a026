package nats

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// streamConfig is what a stream is made with.
type streamConfig struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Subjects    []string          `json:"subjects"`
	Retention   string            `json:"retention"`
	Storage     string            `json:"storage"`
	Discard     string            `json:"discard"`
	Replicas    int               `json:"num_replicas"`
	MaxMessages int64             `json:"max_msgs"`
	MaxBytes    int64             `json:"max_bytes"`
	MaxAge      time.Duration     `json:"max_age"`
	MaxPer      int64             `json:"max_msgs_per_subject"`
	Duplicates  time.Duration     `json:"duplicate_window"`
	Rollup      bool              `json:"allow_rollup_hdrs"`
	Direct      bool              `json:"allow_direct"`
	TTL         bool              `json:"allow_msg_ttl"`
	Atomic      bool              `json:"allow_atomic"`
	Again       *republish        `json:"republish,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// republish says where a stream publishes again what it has stored.
type republish struct {
	From string `json:"src"`
	To   string `json:"dest"`
}

// tryFor is how long one request of a start waits for its answer.
const tryFor = time.Second

// Keys of a stream's metadata.
const (
	metaEpoch = "sluice.epoch" // the life of the log, base 36
	metaBirth = "sluice.birth" // random, so that a stream that is made anew is known, also with the same epoch
	// metaFloor is a position up to which more may have been dropped than limits
	// tell now, since they were narrower once.
	metaFloor = "sluice.floor"
)

// messagesConfig returns the config of the stream of messages.
func (o Options) messagesConfig(s subjects) streamConfig {
	c := baseConfig(o.Name + "-" + strconv.Itoa(o.Shard))
	if o.Epoch != 0 {
		c.Metadata = map[string]string{metaEpoch: strconv.FormatUint(o.Epoch, 36)}
	}
	c.Description = "messages of sluice"
	c.Subjects = s.stored()
	c.Again = &republish{s.all + ">", s.live + ">"}
	c.MaxPer = int64(o.Retain.Messages)
	// Everything has a time to live of its own; this one is for what was forgotten.
	c.MaxAge = max(o.maxAge()+slack, o.RunsFor) + 24*time.Hour
	if c.MaxBytes = o.MaxBytes; o.MaxBytes <= 0 {
		c.MaxBytes = -1
	}
	return c
}

// baseConfig returns what both streams have in common.
func baseConfig(name string) streamConfig {
	return streamConfig{
		Name: name, Retention: "limits", Storage: "file", Discard: "old", MaxMessages: -1, MaxBytes: -1,
		Duplicates: 2 * time.Second, // keys are remembered by records, see append.go
		Rollup:     true, Direct: true, TTL: true, Atomic: true,
	}
}

// ensure makes the stream if it is not there, and changes it if it is another than
// wanted. replicas is 0 for those that it has, and at its making spare.
func (j *journal) ensure(ctx context.Context, want streamConfig, replicas, spare int) (*info, error) {
	have, err := j.patientInfo(ctx)
	if codeOf(err) == codeNoStream {
		want.Replicas = replicas
		if replicas == 0 {
			want.Replicas = spare
		}
		if want.Metadata == nil {
			want.Metadata = map[string]string{metaEpoch: strconv.FormatUint(newEpoch(), 36)}
		}
		want.Metadata[metaBirth] = strconv.FormatUint(newEpoch(), 36)
		var made info
		if err = j.change(ctx, "STREAM.CREATE.", want, &made); err == nil {
			return &made, nil
		}
		if codeOf(err) != codeNameTaken {
			return nil, fmt.Errorf("nats: cannot make the stream %s: %w", want.Name, err)
		}
		have, err = j.info(ctx) // another node was faster
	}
	if err != nil {
		return nil, fmt.Errorf("nats: stream %s: %w", want.Name, err)
	}
	if _, err := have.epoch(); err != nil {
		return nil, fmt.Errorf("nats: the stream %s is not one of sluice: %w", want.Name, err)
	}
	if want.Replicas = replicas; replicas == 0 {
		want.Replicas = have.Config.Replicas
	}
	if have.Config.serves(want) {
		return have, nil
	}
	want.Metadata = have.Config.Metadata
	if want.keepsMore(have.Config) {
		want.Metadata[metaFloor] = strconv.FormatUint(have.State.Last, 10)
	}
	changed := new(info)
	if err := j.change(ctx, "STREAM.UPDATE.", want, changed); err != nil {
		return nil, fmt.Errorf("nats: cannot change the stream %s: %w", want.Name, err)
	}
	return changed, nil
}

// patientInfo is info for a cluster that has just started: until it has a leader,
// nobody answers.
func (j *journal) patientInfo(ctx context.Context) (*info, error) {
	for {
		try, cancel := context.WithTimeout(ctx, tryFor)
		found, err := j.info(try)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errNobody) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(tryFor / 10):
		}
	}
}

func (j *journal) change(ctx context.Context, method string, c streamConfig, answer *info) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return j.api(ctx, method+j.stream, body, answer)
}

// serves reports whether a stream of config c need not be changed to be as wanted.
func (c streamConfig) serves(want streamConfig) bool {
	return slices.Equal(c.Subjects, want.Subjects) && c.Replicas == want.Replicas &&
		c.MaxBytes == want.MaxBytes && c.MaxAge == want.MaxAge && c.MaxPer == want.MaxPer &&
		c.Direct && c.TTL && c.Atomic && c.Rollup && c.Again != nil && *c.Again == *want.Again
}

// keepsMore reports whether c drops less than old did.
func (c streamConfig) keepsMore(old streamConfig) bool {
	return c.MaxPer > old.MaxPer || c.MaxAge > old.MaxAge
}

// epoch returns the life of the log that the stream was made with.
func (i *info) epoch() (uint64, error) {
	epoch, err := strconv.ParseUint(i.Config.Metadata[metaEpoch], 36, 64)
	if err == nil && epoch == 0 {
		err = strconv.ErrRange
	}
	return epoch, err
}

// birth tells this stream from others of the same name.
func (i *info) birth() string {
	return i.Config.Metadata[metaEpoch] + "." + i.Config.Metadata[metaBirth]
}

// floor returns the position of metaFloor.
func (i *info) floor() uint64 {
	floor, err := strconv.ParseUint(i.Config.Metadata[metaFloor], 10, 64)
	if err != nil {
		return 0
	}
	return floor
}

// newEpoch returns a random name for a life of the log: up to eight digits in base
// 36, never 0.
func newEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])>>24 | 1
}
