package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	natsio "github.com/nats-io/nats.go"
	upstream "github.com/nats-io/nats.go/jetstream"
)

// Upstream's types, under the names that callers use.
type (
	// Config is the configuration of a stream.
	Config = upstream.StreamConfig
	// RePublish says where a stream sends again what it has stored.
	RePublish = upstream.RePublish
	// Message is a message as it lies in a stream.
	Message = upstream.RawStreamMsg
)

// LeaderElected is the subject on which a server says that it leads a stream from now on; the
// stream's name follows.
const LeaderElected = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."

// Stream is one stream, which need not exist. Its methods are safe for concurrent use.
type Stream struct {
	client *Client
	name   string
	// batch is held while the messages of a batch are written. A server keeps only a
	// few batches open at once, so they must not interleave on the connection.
	batch sync.Mutex
}

// NewStream returns the stream of that name.
func NewStream(client *Client, name string) *Stream { return &Stream{client: client, name: name} }

// Name returns the stream's name.
func (s *Stream) Name() string { return s.name }

// Info is what the leader says of a stream.
type Info struct {
	upstream.StreamInfo
	Total int `json:"total"` // subjects that match, on all pages together
}

// Leader returns the name of the server that leads the stream, "" for a single server.
func (i *Info) Leader() string {
	if i.Cluster == nil {
		return ""
	}
	return i.Cluster.Leader
}

// Info asks the leader.
func (s *Stream) Info(ctx context.Context) (*Info, error) {
	info := new(Info)
	return info, s.api(ctx, "STREAM.INFO.", nil, info)
}

// Subjects is [Stream.Info] with one page of the subjects that filter matches, from an
// offset on, and how many messages each has.
func (s *Stream) Subjects(ctx context.Context, filter string, offset int) (*Info, error) {
	info := new(Info)
	return info, s.api(ctx, "STREAM.INFO.", map[string]any{"subjects_filter": filter, "offset": offset}, info)
}

// Create creates the stream with a configuration of the same name.
func (s *Stream) Create(ctx context.Context, c Config) (*Info, error) {
	info := new(Info)
	return info, s.api(ctx, "STREAM.CREATE.", c, info)
}

// Update changes the stream's configuration.
func (s *Stream) Update(ctx context.Context, c Config) (*Info, error) {
	info := new(Info)
	return info, s.api(ctx, "STREAM.UPDATE.", c, info)
}

// Purge removes what is stored under a subject before a position.
func (s *Stream) Purge(ctx context.Context, subject string, before uint64) error {
	return s.api(ctx, "STREAM.PURGE.", map[string]any{"filter": subject, "seq": before}, &struct{}{})
}

// Last returns the newest message that filter matches, by the leader, and whether
// there is one.
func (s *Stream) Last(ctx context.Context, filter string) (Message, bool, error) {
	return s.message(ctx, map[string]any{"last_by_subj": filter})
}

// At returns the message at a position, as the leader knows it, and whether there is one.
func (s *Stream) At(ctx context.Context, position uint64) (Message, bool, error) {
	return s.message(ctx, map[string]any{"seq": position})
}

// After returns the first message that filter matches after a position, as the leader knows
// it, and whether there is one.
func (s *Stream) After(ctx context.Context, filter string, position uint64) (Message, bool, error) {
	return s.message(ctx, map[string]any{"seq": position + 1, "next_by_subj": filter})
}

// Delete removes the message at a position, if there is one.
func (s *Stream) Delete(ctx context.Context, position uint64) error {
	err := s.api(ctx, "STREAM.MSG.DELETE.", map[string]any{"seq": position, "no_erase": true}, &struct{}{})
	if codeOf(err) == 0 {
		return err
	}
	// The answer says that it failed, not why. One reason is that it has been deleted before.
	if _, found, lookErr := s.At(ctx, position); found || lookErr != nil {
		return err
	}
	return nil
}

// message asks the leader for a message.
func (s *Stream) message(ctx context.Context, which map[string]any) (Message, bool, error) {
	var answer struct {
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	err := s.api(ctx, "STREAM.MSG.GET.", which, &answer)
	if codeOf(err) == upstream.JSErrCodeMessageNotFound {
		return Message{}, false, nil
	}
	if err != nil {
		return Message{}, false, err
	}
	got := answer.Message
	var header natsio.Header
	if len(got.Header) > 0 {
		if header, err = natsio.DecodeHeadersMsg(got.Header); err != nil {
			return Message{}, false, fmt.Errorf("%w: headers of a message: %w", ErrBadAnswer, err)
		}
	}
	return Message{Subject: got.Subject, Sequence: got.Sequence, Header: header, Data: got.Data, Time: got.Time}, true, nil
}

// api makes a request to JetStream's API and decodes the answer.
func (s *Stream) api(ctx context.Context, method string, request, answer any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	m, err := s.client.request(ctx, "$JS.API."+method+s.name, body)
	if err != nil {
		return err
	}
	return decode(m.Data, answer)
}
