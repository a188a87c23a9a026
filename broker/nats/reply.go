package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	natsio "github.com/nats-io/nats.go"
)

// Headers of JetStream.
const (
	headerTTL          = "Nats-TTL"
	headerRollup       = "Nats-Rollup"
	headerExpected     = "Nats-Expected-Last-Subject-Sequence"
	headerExpectStream = "Nats-Expected-Stream"
	headerBatch        = "Nats-Batch-Id"
	headerBatchSeq     = "Nats-Batch-Sequence"
	headerBatchCommit  = "Nats-Batch-Commit"
	headerSeq          = "Nats-Sequence"
	headerLast         = "Nats-Last-Sequence"
	headerSubject      = "Nats-Subject"
	headerTime         = "Nats-Time-Stamp"
	headerPending      = "Nats-Num-Pending"
	headerUpTo         = "Nats-UpTo-Sequence"
)

// Codes of JetStream's errors.
const (
	codeNotFound       = 10037
	codeNoStream       = 10059
	codeNameTaken      = 10058
	codeWrongStream    = 10060
	codeWrongSequence  = 10071
	codeBusySubject    = 10164 // something is on its way under the same subject
	codeNoReplicas     = 10074
	codeNoLeader       = 10008
	codeNoPeers        = 10005
	codeTooManyBatches = 10210
	codeTornBatch      = 10176
)

// apiError is an error that JetStream answers.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("nats: %s (%d)", e.Description, e.Code)
}

// codeOf returns the code of an error that JetStream answered; 0 for another.
func codeOf(err error) int {
	var api *apiError
	if errors.As(err, &api) {
		return api.Code
	}
	return 0
}

// startingUp reports whether an error is one of a cluster that has no leader yet, or
// of a server that has not heard yet of a stream that another node has just made.
func startingUp(err error) bool {
	switch codeOf(err) {
	case 0, codeNoLeader, codeNoPeers, codeNoStream:
		return true
	}
	return false
}

// stored is a message as it lies in a stream.
type stored struct {
	subject string
	seq     uint64
	time    time.Time
	data    []byte
}

// storedOf reads a message that was sent by a direct get or for the second time.
func storedOf(m *natsio.Msg) (stored, error) {
	seq, err := strconv.ParseUint(m.Header.Get(headerSeq), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("nats: a message without its sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err != nil {
		return stored{}, fmt.Errorf("nats: a message without its time: %w", err)
	}
	return stored{m.Header.Get(headerSubject), seq, at, m.Data}, nil
}

// headerUint returns a number of a header; 0 if it is not there.
func headerUint(m *natsio.Msg, name string) uint64 {
	n, err := strconv.ParseUint(m.Header.Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// decodeAnswer reads the JSON of an answer of the API into body.
func decodeAnswer(data []byte, body any) error {
	var failed struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &failed); err != nil {
		return fmt.Errorf("nats: answer of the server: %w", err)
	}
	if failed.Error != nil {
		return failed.Error
	}
	if err := json.Unmarshal(data, body); err != nil {
		return fmt.Errorf("nats: answer of the server: %w", err)
	}
	return nil
}
