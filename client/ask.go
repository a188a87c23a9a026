package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// RunEndedError is returned by [Ask] when the run came to its end while it
// waited: it was cancelled, most likely.
type RunEndedError struct{ State RunState }

// Error names the run and its status.
func (e *RunEndedError) Error() string {
	return fmt.Sprintf("client: run %s is %s", e.State.RunID, e.State.Status)
}

// Ask publishes a question as a step of the run and returns the first answer to
// it: the first message published after the question on the topic reply of the
// run's channel that decodes and that match accepts; a nil match accepts all.
// Who waits no longer than some time gives ctx a deadline.
//
// It may be run again after a crash: the question is asked once ([Run.Publish]),
// and an answer that came meanwhile is found. The question should carry all that
// a page needs to let someone answer, and an id for match to know the answer by if
// there can be several questions at a time.
//
// It returns the errors of [Run.Publish] and of [Client.Subscribe], a [*GapError]
// among them: the answer may be lost, and it is of no use to wait on. After a
// restart of a server that keeps everything in memory, running it again asks
// again. A [*RunEndedError] says that the run has come to its end.
func Ask[Q, A any](ctx context.Context, run Run, stepID string, topic TopicOf[Q], question Q, reply TopicOf[A], match func(A) bool) (A, error) {
	var none A
	asked, err := topic.PublishStep(ctx, run, stepID, question)
	if err != nil {
		return none, err
	}
	sub := Subscription{Channels: []string{run.channel}, Topics: []string{reply.name}, LastEventID: asked.ID.String()}
	for message, err := range run.client.Subscribe(ctx, sub) {
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
