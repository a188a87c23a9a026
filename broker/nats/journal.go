package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	natsio "github.com/nats-io/nats.go"
)

// journal is one stream: what can be asked of it.
//
// Some answers come from the stream's leader and are up to date. Others come from any
// replica, which may be a moment behind; who needs more asks the leader how far the
// stream is and asks again until it gets that far.
type journal struct {
	*caller
	stream string
	// batch is held while the messages of a batch are written: the server has few
	// batches open at once, so they must not mingle on the connection.
	batch sync.Mutex
}

// ack is what the leader answers to a publish.
type ack struct {
	Seq   uint64    `json:"seq"`
	Error *apiError `json:"error"`
}

// publish stores messages, all of them or none, one position after the other, and
// returns the last position. The error of ctx says that they may be stored; all other
// errors say that they are not.
func (j *journal) publish(ctx context.Context, messages ...*natsio.Msg) (uint64, error) {
	w := j.begin(1)
	defer w.end()
	if err := j.send(w, messages); err != nil {
		return 0, err
	}
	m, err := w.wait(ctx)
	if err != nil {
		return 0, err
	}
	var a ack
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return 0, fmt.Errorf("nats: receipt of the server: %w", err)
	}
	if a.Error != nil {
		return 0, a.Error
	}
	if a.Seq == 0 {
		return 0, errors.New("nats: receipt of the server without a position")
	}
	return a.Seq, nil
}

// send sends messages to be stored together.
func (j *journal) send(w *call, messages []*natsio.Msg) error {
	if len(messages) == 1 {
		return w.send(messages[0])
	}
	batch := strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36)
	for i, m := range messages {
		m.Header.Set(headerBatch, batch)
		m.Header.Set(headerBatchSeq, strconv.Itoa(i+1))
	}
	last := messages[len(messages)-1]
	last.Header.Set(headerBatchCommit, "1")
	j.batch.Lock()
	defer j.batch.Unlock()
	for _, m := range messages[:len(messages)-1] {
		if err := j.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	return w.send(last)
}

// reach returns when the stream's leader knows what this connection subscribed to
// before. It publishes what the leader refuses: that goes the way of the
// subscriptions, behind them, and nobody else answers it. Requests to JetStream's API
// do not: they travel as the system account's.
func (j *journal) reach(ctx context.Context, subject string) error {
	_, err := again(ctx, func(ctx context.Context) (uint64, error) {
		return j.publish(ctx, &natsio.Msg{Subject: subject, Header: natsio.Header{headerExpectStream: {"-"}}})
	})
	switch {
	case codeOf(err) == codeWrongStream:
		return nil
	case err == nil:
		return errors.New("nats: the server ignores expectations")
	}
	return err
}

// last returns the newest message under a subject, by the leader, and whether there
// is one.
func (j *journal) last(ctx context.Context, subject string) (stored, bool, error) {
	body, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return stored{}, false, err
	}
	m, err := j.ask(ctx, "$JS.API.STREAM.MSG.GET."+j.stream, body)
	if err != nil {
		return stored{}, false, err
	}
	var answer struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := decodeAnswer(m.Data, &answer); err != nil {
		if codeOf(err) == codeNotFound {
			err = nil
		}
		return stored{}, false, err
	}
	got := answer.Message
	return stored{got.Subject, got.Seq, got.Time, got.Data}, true, nil
}

// info is what a stream says of itself, as far as it is of use.
type info struct {
	Config  streamConfig `json:"config"`
	Created time.Time    `json:"created"`
	State   struct {
		First    uint64            `json:"first_seq"`
		Last     uint64            `json:"last_seq"`
		Subjects map[string]uint64 `json:"subjects"`
	} `json:"state"`
	Cluster struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
	Total int `json:"total"` // of subjects that match
	Limit int `json:"limit"` // of subjects in one answer
}

// info asks the leader.
func (j *journal) info(ctx context.Context) (*info, error) { return j.infoOf(ctx, "", 0) }

// infoOf is info with the subjects that filter matches, from an offset on.
func (j *journal) infoOf(ctx context.Context, filter string, offset int) (*info, error) {
	var body []byte
	if filter != "" {
		var err error
		if body, err = json.Marshal(map[string]any{"subjects_filter": filter, "offset": offset}); err != nil {
			return nil, err
		}
	}
	i := new(info)
	return i, j.api(ctx, "STREAM.INFO."+j.stream, body, i)
}

// purge removes what is stored under subject before a position.
func (j *journal) purge(ctx context.Context, subject string, before uint64) error {
	body, err := json.Marshal(map[string]any{"filter": subject, "seq": before})
	if err != nil {
		return err
	}
	return j.api(ctx, "STREAM.PURGE."+j.stream, body, &struct{}{})
}

// api makes a request to JetStream's API.
func (j *journal) api(ctx context.Context, method string, body []byte, answer any) error {
	m, err := j.ask(ctx, "$JS.API."+method, body)
	if err != nil {
		return err
	}
	return decodeAnswer(m.Data, answer)
}
