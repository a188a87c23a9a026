package jetstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	natsio "github.com/nats-io/nats.go"
	upstream "github.com/nats-io/nats.go/jetstream"
)

// Publish stores messages under consecutive positions, all of them or none, and
// returns the last position. After [ErrNoAnswer] they may be stored; after any other
// error they are not.
func (s *Stream) Publish(ctx context.Context, messages ...*natsio.Msg) (uint64, error) {
	return s.publish(ctx, func() {}, messages...)
}

// PublishAhead is [Stream.Publish] for one message. It calls sent as soon as the message is on
// its way: what is published after that is stored after it.
func (s *Stream) PublishAhead(ctx context.Context, m *natsio.Msg, sent func()) (uint64, error) {
	return s.publish(ctx, sent, m)
}

func (s *Stream) publish(ctx context.Context, sent func(), messages ...*natsio.Msg) (uint64, error) {
	call := s.client.NewCall(1)
	defer call.Close()
	if err := s.send(call, messages); err != nil {
		return 0, err
	}
	sent()
	m, err := call.wait(ctx)
	if err != nil {
		return 0, err
	}
	return Acknowledged(m)
}

// PublishInTurn is [Stream.Publish] for a message that expects something of another subject
// or of its own. While a message is being stored that expects or changes the same, the
// leader cannot decide, and refuses. PublishInTurn tries until it can. The pauses do not
// grow: otherwise whoever stores one message after the other would keep out all others.
func (s *Stream) PublishInTurn(ctx context.Context, m *natsio.Msg) (uint64, error) {
	for {
		seq, err := s.Publish(ctx, m)
		if codeOf(err) != codeConflictInFlight {
			return seq, err
		}
		timer := time.NewTimer(turnPause/2 + rand.N(turnPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, err
		}
	}
}

// turnPause is about how long a replicated message is being stored.
const turnPause = time.Millisecond

// send sends messages to be stored together.
func (s *Stream) send(call *Call, messages []*natsio.Msg) error {
	if len(messages) == 1 {
		return call.Send(messages[0])
	}
	batch := strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36)
	for i, m := range messages {
		m.Header.Set(headerBatch, batch)
		m.Header.Set(headerBatchSeq, strconv.Itoa(i+1))
	}
	last := messages[len(messages)-1]
	last.Header.Set(headerBatchCommit, "1")
	s.batch.Lock()
	defer s.batch.Unlock()
	for _, m := range messages[:len(messages)-1] {
		if err := s.client.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	return call.Send(last)
}

// Acknowledged returns the position in the answer to a publish, or why nothing was
// stored.
func Acknowledged(m *natsio.Msg) (uint64, error) {
	var ack upstream.PubAck
	if err := decode(m.Data, &ack); err != nil {
		return 0, err
	}
	if ack.Sequence == 0 {
		return 0, fmt.Errorf("%w: a receipt without a position", ErrBadAnswer)
	}
	return ack.Sequence, nil
}

// Barrier returns once the stream's leader knows every subscription that this
// connection made before the call, and has sent what it republished before the answer.
// subject must be one of the stream.
//
// A request to JetStream's API would prove nothing: it travels another way than
// subscriptions do. So Barrier publishes a message that the leader must refuse. It
// travels behind the subscriptions, and only the leader answers it.
func (s *Stream) Barrier(ctx context.Context, subject string) error {
	err := Retry(ctx, answerWait, unanswered, func(ctx context.Context) error {
		_, err := s.Publish(ctx, &natsio.Msg{Subject: subject, Header: natsio.Header{upstream.ExpectedStreamHeader: {"-"}}})
		return err
	})
	switch {
	case codeOf(err) == codeWrongStream, IsRefusal(err): // a full stream checks its limits first
		return nil
	case err == nil:
		return fmt.Errorf("%w: it stored a message for another stream", ErrBadAnswer)
	}
	return err
}

const (
	// batchHeaders is how many bytes a batch adds to each of its messages.
	batchHeaders = len(headerBatch+headerBatchSeq+headerBatchCommit) + 3*headerExtra + 2*13 + 3 + 1
	headerExtra  = len(": \r\n") // per header
)

// Size returns the length of a message as the server counts it when it is part of a
// batch, in bytes.
func Size(m *natsio.Msg) int {
	n := len("NATS/1.0\r\n\r\n") + batchHeaders + len(m.Data)
	for name, values := range m.Header {
		for _, value := range values {
			n += len(name) + len(value) + headerExtra
		}
	}
	return n
}
