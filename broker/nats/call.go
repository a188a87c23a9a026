package nats

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	natsio "github.com/nats-io/nats.go"
)

// errNobody says that nobody was there to take a request: it had no effect.
var errNobody = errors.New("nats: no server answers for the stream")

// caller makes requests over one subscription, each with any number of answers.
type caller struct {
	conn  *natsio.Conn
	inbox string // with the dot before the token
	sub   *natsio.Subscription

	mu      sync.Mutex
	next    uint64           // guarded by mu
	pending map[string]*call // guarded by mu
}

// call is a request on its way.
type call struct {
	caller  *caller
	token   string
	answers chan *natsio.Msg // with room for as many as were asked for
}

func newCaller(conn *natsio.Conn) (*caller, error) {
	c := &caller{conn: conn, inbox: natsio.NewInbox() + ".", pending: make(map[string]*call)}
	sub, err := conn.Subscribe(c.inbox+"*", c.take)
	if err != nil {
		return nil, err
	}
	c.sub = sub
	return c, sub.SetPendingLimits(-1, -1) // bounded by what was asked for
}

// take hands an answer to its call.
func (c *caller) take(m *natsio.Msg) {
	c.mu.Lock()
	waiting := c.pending[strings.TrimPrefix(m.Subject, c.inbox)]
	c.mu.Unlock()
	if waiting == nil {
		return // too late
	}
	select {
	case waiting.answers <- m:
	default: // more than were asked for
	}
}

// begin makes a call with room for so many answers. The caller must end it.
func (c *caller) begin(answers int) *call {
	waiting := &call{caller: c, answers: make(chan *natsio.Msg, answers)}
	c.mu.Lock()
	c.next++
	waiting.token = strconv.FormatUint(c.next, 36)
	c.pending[waiting.token] = waiting
	c.mu.Unlock()
	return waiting
}

func (w *call) end() {
	w.caller.mu.Lock()
	delete(w.caller.pending, w.token)
	w.caller.mu.Unlock()
}

// send sends m, to be answered to the call. An error says that it was not sent.
func (w *call) send(m *natsio.Msg) error {
	m.Reply = w.caller.inbox + w.token
	return w.caller.conn.PublishMsg(m)
}

// wait returns the next answer. Errors: errNobody and that of ctx.
func (w *call) wait(ctx context.Context) (*natsio.Msg, error) {
	select {
	case m := <-w.answers:
		if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			return nil, errNobody
		}
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answerWait is how long a server may take to answer a question, before it is put
// again: perhaps to another server.
const answerWait = time.Second

var errNoAnswer = errors.New("nats: no answer in time")

// ask sends a request that may be repeated, until it is answered or ctx ends.
func (c *caller) ask(ctx context.Context, subject string, data []byte) (*natsio.Msg, error) {
	return again(ctx, func(ctx context.Context) (*natsio.Msg, error) {
		w := c.begin(1)
		defer w.end()
		if err := w.send(&natsio.Msg{Subject: subject, Data: data}); err != nil {
			return nil, err
		}
		return w.wait(ctx)
	})
}

// again calls ask until it is answered, with less than all the time for each call.
func again[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	var pause backoff
	for {
		short, cancel := context.WithTimeout(ctx, answerWait)
		answer, err := ask(short)
		if short.Err() != nil && errors.Is(err, short.Err()) {
			err = errNoAnswer
		}
		cancel()
		if !errors.Is(err, errNoAnswer) && !errors.Is(err, errNobody) {
			return answer, err
		}
		if pause.wait(ctx) != nil {
			return answer, err
		}
	}
}
