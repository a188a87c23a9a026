package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"

	upstream "github.com/nats-io/nats.go/jetstream"
)

// Errors of requests. An error that JetStream itself answered is an
// [upstream.APIError]; the Is functions say what follows from it.
var (
	// ErrNoResponders means that no server took the request. It had no effect.
	ErrNoResponders = errors.New("jetstream: no server answers for the stream")
	// ErrNoAnswer means that the context ended before an answer came. A message that
	// was published may be stored.
	ErrNoAnswer = errors.New("jetstream: no answer in time")
	// ErrTooManySubjects means that more subjects match than a server lists at once.
	ErrTooManySubjects = errors.New("jetstream: too many subjects match")
	// ErrBadAnswer means that a server answered something unintelligible.
	ErrBadAnswer = errors.New("jetstream: invalid answer from the server")
)

// Codes of errors that JetStream answers and upstream does not name.
const (
	codeNoPeers          upstream.ErrorCode = 10005
	codeNotAvailable     upstream.ErrorCode = 10008 // no leader yet
	codeWrongStream      upstream.ErrorCode = 10060
	codeNoReplicas       upstream.ErrorCode = 10074
	codeTooManyRequests  upstream.ErrorCode = 10167
	codeIncompleteBatch  upstream.ErrorCode = 10176
	codeTooManyBatches   upstream.ErrorCode = 10210
	codeStreamNotFound                      = upstream.JSErrCodeStreamNotFound
	codeConflict                            = upstream.JSErrCodeStreamWrongLastSequence
	codeConflictInFlight                    = upstream.JSErrCodeStreamWrongLastSequenceConstant
)

// codeOf returns the code of an error that JetStream answered, 0 for any other.
func codeOf(err error) upstream.ErrorCode {
	var answered *upstream.APIError
	if errors.As(err, &answered) {
		return answered.ErrorCode
	}
	return 0
}

// unanswered reports whether a request should be sent again.
func unanswered(err error) bool {
	return errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrNoResponders)
}

// IsConflict reports whether a message was not stored because the newest one under its
// subject is not the expected one, or may soon no longer be.
func IsConflict(err error) bool {
	code := codeOf(err)
	return code == codeConflict || code == codeConflictInFlight
}

// IsFinalConflict reports whether a conflict stays one however often the message is sent:
// the newest one under the subject is not the expected one.
func IsFinalConflict(err error) bool { return codeOf(err) == codeConflict }

// IsTransient reports whether a request may succeed if it is repeated: it conflicted
// with another one, the server was busy, or JetStream did not answer at all.
func IsTransient(err error) bool {
	switch codeOf(err) {
	case 0, codeConflict, codeConflictInFlight, codeTooManyBatches, codeIncompleteBatch:
		return true
	}
	return false
}

// IsStartingUp reports whether an error is one of a cluster that has no leader yet, or
// of a server that has not yet heard of a stream that another node has just created.
func IsStartingUp(err error) bool {
	switch codeOf(err) {
	case 0, codeNotAvailable, codeNoPeers, codeStreamNotFound:
		return true
	}
	return false
}

// IsRefusal reports whether a stream that is within reach refused to store a message:
// it is full, the account has reached a limit, or its configuration does not allow it.
func IsRefusal(err error) bool {
	switch codeOf(err) {
	case codeStreamNotFound, codeWrongStream, codeTooManyRequests, codeNoReplicas:
		return false
	}
	return !IsTransient(err) && !IsStartingUp(err)
}

// IsNoStream reports whether the stream does not exist.
func IsNoStream(err error) bool { return codeOf(err) == codeStreamNotFound }

// IsNameTaken reports whether a stream of that name exists with another configuration.
func IsNameTaken(err error) bool { return codeOf(err) == upstream.JSErrCodeStreamNameInUse }

// IsNotEnabled reports whether the server has JetStream switched off.
func IsNotEnabled(err error) bool { return codeOf(err) == upstream.JSErrCodeJetStreamNotEnabled }

// IsNotEnabledForAccount reports whether the account may not use JetStream.
func IsNotEnabledForAccount(err error) bool {
	return codeOf(err) == upstream.JSErrCodeJetStreamNotEnabledForAccount
}

// IsNoReplicas reports whether a server outside a cluster was asked for replicas.
func IsNoReplicas(err error) bool { return codeOf(err) == codeNoReplicas }

// decode reads the JSON of an answer into body, or returns the error that it holds.
func decode(data []byte, body any) error {
	var failed struct {
		Error *upstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(data, &failed); err != nil {
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if failed.Error != nil {
		return failed.Error
	}
	if err := json.Unmarshal(data, body); err != nil {
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	return nil
}
