package broker

import (
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// newLog returns a log that keeps the given number of messages. All its readers have
// passed everything.
func newLog(messages int) ring.Log {
	return ring.Log{Limits: engine.Limits{Messages: messages, Bytes: 1 << 30, Age: time.Second}, Floor: ring.NoReader, Swept: ring.NoReader}
}

// fill publishes a message to each of the topics, all within the same millisecond.
// Positions count from 1, ids from k-1; a topic $run makes a run message.
func (c *channel) fill(topics ...string) {
	for _, topic := range topics {
		m := schemas.Message{ID: schemas.ID{Epoch: 20, Seq: c.log.Last() + 1}, Channel: "c", Topic: schemas.Topic(topic), Kind: schemas.KindData, Data: []byte("1"), CreatedAt: 1}
		if topic == "$run" {
			m.Kind = schemas.KindRun
		}
		f, _ := c.log.Append(&m)
		if topic == "$run" {
			c.setRun(&run{frame: f})
		}
	}
}
