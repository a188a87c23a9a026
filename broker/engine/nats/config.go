package nats

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// Keys of a stream's metadata. The names are stored in clusters and must not change.
const (
	metaEpoch       = "sluice.epoch" // the epoch, base 36
	metaIncarnation = "sluice.birth" // random: tells a new stream from its predecessor even with the same epoch
	// metaFloor is a position up to which more may have been dropped than the limits
	// now say, because they were narrower once.
	metaFloor = "sluice.floor"
)

// messagesConfig returns the configuration of the stream of messages.
func (o Options) messagesConfig(s subjects) jetstream.Config {
	c := baseConfig(o.Name + "-" + strconv.Itoa(o.Shard))
	if o.Epoch != 0 {
		c.Metadata = map[string]string{metaEpoch: strconv.FormatUint(o.Epoch, 36)}
	}
	c.Description = "messages of sluice"
	c.Subjects = s.stored()
	c.RePublish = &jetstream.RePublish{Source: s.all + ">", Destination: s.live + ">"}
	c.MaxMsgsPerSubject = o.perSubject()
	// Every message has its own time to live; this is for whatever has none.
	c.MaxAge = max(o.maxAge()+slack, o.RunsFor) + 24*time.Hour
	if c.MaxBytes = o.MaxBytes; o.MaxBytes <= 0 {
		c.MaxBytes = -1
	}
	return c
}

// baseConfig returns what both kinds of streams have in common. The zero values of
// upstream's constants stand for limits, files, and dropping the oldest.
func baseConfig(name string) jetstream.Config {
	return jetstream.Config{
		Name: name, MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1,
		Duplicates:  2 * time.Second, // as short as possible: records remember keys, not this window
		AllowRollup: true, AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true,
	}
}

// ensureStream creates the stream if it does not exist, and changes it if it differs
// from what is wanted. A new stream gets as many replicas as possible, an existing one
// keeps those it has, unless the options say a number.
func (e *Engine) ensureStream(ctx context.Context, stream *jetstream.Stream, want jetstream.Config, possible int) (*jetstream.Info, error) {
	have, err := stream.Info(ctx)
	if jetstream.IsNoStream(err) {
		created, err := e.createStream(ctx, stream, want, possible)
		if !jetstream.IsNameTaken(err) {
			return created, err
		}
		have, err = stream.Info(ctx) // another node was faster
		if err != nil {
			return nil, fmt.Errorf("nats: stream %s, created by another node: %w", want.Name, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("nats: stream %s: %w", want.Name, err)
	}
	if _, err := epochOf(have); err != nil {
		return nil, fmt.Errorf("nats: the stream %s does not belong to sluice: %w", want.Name, err)
	}
	if want.Replicas = e.opts.Replicas; want.Replicas == 0 {
		want.Replicas = have.Config.Replicas
	}
	if serves(have.Config, want) {
		return have, nil
	}
	want.Metadata = have.Config.Metadata
	if keepsMore(want, have.Config) {
		want.Metadata[metaFloor] = strconv.FormatUint(have.State.LastSeq, 10)
	}
	changed, err := stream.Update(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("nats: cannot change the stream %s: %w", want.Name, err)
	}
	return changed, nil
}

// createStream creates the stream with an epoch, unless it is given one, and an
// incarnation.
func (e *Engine) createStream(ctx context.Context, stream *jetstream.Stream, c jetstream.Config, possible int) (*jetstream.Info, error) {
	if c.Replicas = e.opts.Replicas; c.Replicas == 0 {
		c.Replicas = possible
	}
	if c.Metadata == nil {
		c.Metadata = map[string]string{metaEpoch: strconv.FormatUint(schemas.NewEpoch(), 36)}
	}
	c.Metadata[metaIncarnation] = strconv.FormatUint(schemas.NewEpoch(), 36)
	created, err := stream.Create(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("nats: cannot create the stream %s: %w", c.Name, err)
	}
	level := slog.LevelInfo
	if e.opts.Replicas == 0 && c.Replicas < 3 && e.conn.ConnectedClusterName() != "" {
		level = slog.LevelWarn // perhaps the other servers were only late
	}
	e.opts.Log.Log(ctx, level, "created a stream", slog.String("stream", c.Name), slog.Int("replicas", c.Replicas))
	return created, nil
}

// serves reports whether a stream with configuration c need not be changed.
func serves(c, want jetstream.Config) bool {
	return slices.Equal(c.Subjects, want.Subjects) && c.Replicas == want.Replicas &&
		c.MaxBytes == want.MaxBytes && c.MaxAge == want.MaxAge && c.MaxMsgsPerSubject == want.MaxMsgsPerSubject &&
		c.AllowDirect && c.AllowMsgTTL && c.AllowAtomicPublish && c.AllowRollup && c.RePublish != nil && *c.RePublish == *want.RePublish
}

// keepsMore reports whether c drops less than old did.
func keepsMore(c, old jetstream.Config) bool {
	return c.MaxMsgsPerSubject > old.MaxMsgsPerSubject || c.MaxAge > old.MaxAge
}

// epochOf returns the epoch that the stream was created with.
func epochOf(i *jetstream.Info) (uint64, error) {
	epoch, err := strconv.ParseUint(i.Config.Metadata[metaEpoch], 36, 64)
	if err == nil && epoch == 0 {
		err = strconv.ErrRange
	}
	return epoch, err
}

// incarnationOf tells this stream from earlier and later ones of the same name.
func incarnationOf(i *jetstream.Info) string {
	return i.Config.Metadata[metaEpoch] + "." + i.Config.Metadata[metaIncarnation]
}

// floorOf returns the position of metaFloor.
func floorOf(i *jetstream.Info) uint64 {
	floor, err := strconv.ParseUint(i.Config.Metadata[metaFloor], 10, 64)
	if err != nil {
		return 0
	}
	return floor
}
