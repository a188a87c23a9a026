package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// RunEndedError is returned by [Ask] if the run ended while it waited, usually because it
// was cancelled.
type RunEndedError struct{ State RunState }

// Error names the run and its status.
func (e *RunEndedError) Error() string {
	return fmt.Sprintf("client: run %s is %s", e.State.RunID, e.State.Status)
}

// Ask publishes a question as a step of the run and returns the first answer: the first
// message after the question, on the topic reply of the run's channel, that decodes and
// that match accepts. A nil match accepts every message. To limit the wait, give ctx a
// deadline.
//
// Ask may run again after a crash. It asks the question only once ([Run.Publish]) and
// finds an answer that has arrived in the meantime. The question should contain all that
// a page needs to let someone answer it, and, if there can be several questions at a
// time, an id by which match recognizes the answer.
//
// It returns the errors of [Run.Publish] and of [Client.Subscribe], including a
// [*GapError]: the answer may be lost, so it is pointless to wait any longer. After a
// restart of a server that keeps everything in memory, a repeated Ask asks again. A
// [*RunEndedError] means that the run has ended.
func Ask[Q, A any](ctx context.Context, run Run, stepID string, topic TopicOf[Q], question Q, reply TopicOf[A], match func(A) bool) (A, error) {
	var none A
	asked, err := topic.PublishStep(ctx, run, stepID, question)
	if err != nil {
		return none, err
	}
	sub := Subscription{Channels: []string{run.channel}, Topics: []string{reply.name}, LastEventID: asked.ID.String()}
	for message, err := range run.client.Subscribe(ctx, sub) {
		if unreadable := (*EventError)(nil); errors.As(err, &unreadable) {
			continue // as an answer that does not decode
		}
		if err != nil {
			return none, fmt.Errorf("client: waiting for an answer to %s: %w", stepID, err)
		}
		if state, ok := message.Run(); ok && state.RunID == run.id && state.Status.Final() {
			return none, &RunEndedError{state}
		}
		if message.Kind != schemas.KindData {
			continue
		}
		var answer A
		if json.Unmarshal(message.Data, &answer) == nil && (match == nil || match(answer)) {
			return answer, nil
		}
	}
	return none, ctx.Err() // not reached: the loop ends with an error
}
