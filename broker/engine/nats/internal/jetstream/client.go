package jetstream

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	natsio "github.com/nats-io/nats.go"
)

// Client makes requests over one subscription, each with any number of answers. It
// ends with its connection.
type Client struct {
	conn  *natsio.Conn
	inbox string // with the dot before the token of a call

	mu    sync.Mutex
	next  uint64           // guarded by mu
	calls map[string]*Call // guarded by mu; by token
}

// Call is a request that waits for answers. It may be sent several times.
type Call struct {
	client  *Client
	token   string
	answers chan *natsio.Msg
}

// NewClient returns a client on conn.
func NewClient(conn *natsio.Conn) (*Client, error) {
	c := &Client{conn: conn, inbox: natsio.NewInbox() + ".", calls: make(map[string]*Call)}
	sub, err := conn.Subscribe(c.inbox+"*", c.dispatch)
	if err != nil {
		return nil, err
	}
	return c, sub.SetPendingLimits(-1, -1) // the calls bound what is pending
}

// dispatch hands an answer to its call.
func (c *Client) dispatch(m *natsio.Msg) {
	c.mu.Lock()
	call := c.calls[strings.TrimPrefix(m.Subject, c.inbox)]
	c.mu.Unlock()
	if call == nil {
		return // too late
	}
	select {
	case call.answers <- m:
	default: // more than the call asked for
	}
}

// NewCall returns a call that buffers the given number of answers; further ones are
// dropped. The caller closes it.
func (c *Client) NewCall(answers int) *Call {
	call := &Call{client: c, answers: make(chan *natsio.Msg, answers)}
	c.mu.Lock()
	c.next++
	call.token = strconv.FormatUint(c.next, 36)
	c.calls[call.token] = call
	c.mu.Unlock()
	return call
}

// Close drops all further answers.
func (c *Call) Close() {
	c.client.mu.Lock()
	delete(c.client.calls, c.token)
	c.client.mu.Unlock()
}

// Send sends m with the call's inbox as its reply subject. An error means that m was
// not sent.
func (c *Call) Send(m *natsio.Msg) error {
	m.Reply = c.client.inbox + c.token
	return c.client.conn.PublishMsg(m)
}

// Answers returns the channel on which answers arrive. It is never closed.
func (c *Call) Answers() <-chan *natsio.Msg { return c.answers }

// wait returns the next answer. Errors: [ErrNoResponders], and [ErrNoAnswer] once ctx
// ends.
func (c *Call) wait(ctx context.Context) (*natsio.Msg, error) {
	select {
	case m := <-c.answers:
		if len(m.Data) == 0 && m.Header.Get(headerStatus) == "503" {
			return nil, ErrNoResponders
		}
		return m, nil
	case <-ctx.Done():
		return nil, ErrNoAnswer
	}
}

// answerWait is how long a server may take to answer before the request is sent
// again, perhaps to another server.
const answerWait = time.Second

// request sends a request without an effect until it is answered or ctx ends.
func (c *Client) request(ctx context.Context, subject string, data []byte) (answer *natsio.Msg, err error) {
	err = Retry(ctx, answerWait, unanswered, func(ctx context.Context) error {
		call := c.NewCall(1)
		defer call.Close()
		if err := call.Send(&natsio.Msg{Subject: subject, Data: data}); err != nil {
			return err
		}
		answer, err = call.wait(ctx)
		return err
	})
	return answer, err
}
