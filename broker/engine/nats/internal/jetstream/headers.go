package jetstream

import (
	"strconv"
	"time"

	natsio "github.com/nats-io/nats.go"
	upstream "github.com/nats-io/nats.go/jetstream"
)

// Headers that upstream does not name.
const (
	headerStatus      = "Status"
	headerDescription = "Description"
	headerRollup      = "Nats-Rollup"
	headerBatch       = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
	headerTime        = "Nats-Time-Stamp"
	headerPending     = "Nats-Num-Pending"
	headerUpTo        = "Nats-UpTo-Sequence"
)

// NewMsg returns a message that the stream keeps for a while: whole seconds, and not
// less than keep; 0: for as long as the stream keeps anything.
func NewMsg(subject string, data []byte, keep time.Duration) *natsio.Msg {
	m := &natsio.Msg{Subject: subject, Data: data, Header: make(natsio.Header)}
	if keep > 0 {
		seconds := int64((keep + time.Second - 1) / time.Second)
		m.Header[upstream.MsgTTLHeader] = []string{strconv.FormatInt(seconds, 10) + "s"}
	}
	return m
}

// ExpectLast has m stored only if the newest message under its subject has this
// position; 0: if there is none. Otherwise the publish fails with a conflict, see
// [IsConflict].
func ExpectLast(m *natsio.Msg, position uint64) {
	m.Header[upstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(position, 10)}
}

// ExpectLastOf is [ExpectLast] for the newest message under another subject.
func ExpectLastOf(m *natsio.Msg, subject string, position uint64) {
	ExpectLast(m, position)
	m.Header[upstream.ExpectedLastSubjSeqSubjHeader] = []string{subject}
}

// Replace has m remove all earlier messages under its subject.
func Replace(m *natsio.Msg) { m.Header[headerRollup] = []string{"sub"} }

// Position returns the position of a message that the stream has republished, 0 if m
// is none.
func Position(m *natsio.Msg) uint64 { return headerUint(m, upstream.SequenceHeader) }

// Previous returns the position of the message before m under the same subject, 0 if
// there was none. m must be one that the stream has republished.
func Previous(m *natsio.Msg) uint64 { return headerUint(m, upstream.LastSequenceHeader) }

// headerUint returns the number in a header, 0 if there is none.
func headerUint(m *natsio.Msg, name string) uint64 {
	n, err := strconv.ParseUint(m.Header.Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
