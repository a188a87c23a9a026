package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	r3labs "github.com/r3labs/sse/v2"
	gosse "github.com/tmaxmax/go-sse"

	"github.com/sluicehq/sluice/client"
)

// runChannel is the channel that the readers read.
const runChannel = "pipeline:run_42"

// reader is a program or a library that people read streams with.
type reader struct {
	name string

	// read subscribes, passes every event on as the reader understands it, and
	// comes again with its last id when the connection is lost, until ctx ends.
	read func(ctx context.Context, t testing.TB, url, credential string, emit func(event))

	// beat is a heartbeat as it goes over an HTTP/1.1 connection, and a little
	// more than that: whether the reader bears it is for the reader to show.
	beat string

	// losesHalves says that the reader takes half an event for a whole one. It
	// can only be cut between events.
	losesHalves bool
}

const (
	beatSSE    = `\r\n:\n+\r\n`
	beatNDJSON = `\r\n\n+\r\n`
)

// readers are all that the interop tests run. Those with a reconnect of their
// own use it; the others are started again, as a script would.
func readers() []reader {
	return []reader{
		{name: "strict", read: readStrictly, beat: beatSSE},
		{name: "curl", read: readCurl, beat: beatSSE},
		{name: "curl-ndjson", read: readCurlLines, beat: beatNDJSON},
		{name: "r3labs", read: readR3labs, beat: beatSSE, losesHalves: true},
		{name: "go-sse", read: readGoSSE, beat: beatSSE},
		{name: "client", read: readClient, beat: beatSSE},
	}
}

// pause is between two tries of the readers that are started again.
const pause = 50 * time.Millisecond

// again calls once with the last id, until ctx ends.
func again(ctx context.Context, emit func(event), once func(lastID string, emit func(event))) {
	lastID := ""
	for ctx.Err() == nil {
		once(lastID, func(e event) {
			lastID = e.ID
			emit(e)
		})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// readStrictly holds every byte to what the server promises.
func readStrictly(ctx context.Context, t testing.TB, url, credential string, emit func(event)) {
	c := newClient(t)
	again(ctx, emit, func(lastID string, emit func(event)) {
		resp, err := c.Do(subscription(ctx, t, url, credential, lastID))
		if err != nil {
			return
		}
		defer resp.Body.Close()
		drainEvents(ctx, t, resp.Body, emit)
	})
}

// drainEvents decodes until the connection is lost. Anything that the decoder
// refuses is a fault of the server.
func drainEvents(ctx context.Context, t testing.TB, r io.Reader, emit func(event)) {
	events := newDecoder(r)
	for {
		e, err := events.next()
		if err == nil {
			emit(e)
			continue
		}
		if network := (interface{ Timeout() bool })(nil); ctx.Err() == nil && !errors.Is(err, io.EOF) &&
			!errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &network) {
			t.Errorf("the stream breaks a promise: %v", err)
		}
		return
	}
}

// runCurl runs curl until its connection is lost.
func runCurl(ctx context.Context, t testing.TB, url, credential, lastID, accept string, read func(io.Reader)) {
	args := []string{"-sN", url, "-H", "Authorization: Bearer " + credential, "-H", "Accept: " + accept}
	if lastID != "" {
		args = append(args, "-H", "Last-Event-ID: "+lastID)
	}
	cmd := exec.CommandContext(ctx, "curl", args...)
	cmd.SysProcAttr = endsWithTest()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	read(stdout)
	cmd.Wait() // a connection that was cut is one of its faults
}

func readCurl(ctx context.Context, t testing.TB, url, credential string, emit func(event)) {
	again(ctx, emit, func(lastID string, emit func(event)) {
		runCurl(ctx, t, url, credential, lastID, "text/event-stream", func(r io.Reader) { drainEvents(ctx, t, r, emit) })
	})
}

// line is a line of NDJSON: a message or a control event.
type line struct {
	ID    string `json:"id"`
	Topic string `json:"topic"`
	Event string `json:"event"`
	Data  struct {
		ID string `json:"id"`
	} `json:"data"`
}

func readCurlLines(ctx context.Context, t testing.TB, url, credential string, emit func(event)) {
	again(ctx, emit, func(lastID string, emit func(event)) {
		runCurl(ctx, t, url, credential, lastID, "application/x-ndjson", func(r io.Reader) {
			for in := bufio.NewReader(r); ; {
				text, err := in.ReadString('\n')
				if err != nil { // what there is of a line that was cut off does not count
					return
				}
				if text == "\n" {
					continue
				}
				var l line
				if err := json.Unmarshal([]byte(text), &l); err != nil {
					t.Errorf("a line that is no JSON: %q", text)
				}
				if l.Event != "" {
					emit(event{ID: l.Data.ID, Type: l.Event, Data: text})
					continue
				}
				emit(event{ID: l.ID, Type: l.Topic, Data: text})
			}
		})
	})
}

// untilDone lets r3labs/sse reconnect until ctx ends; its own strategy goes on
// for a quarter of an hour.
type untilDone struct{ context.Context }

// NextBackOff implements backoff.BackOff; -1 is its word for the end.
func (u untilDone) NextBackOff() time.Duration {
	if u.Err() != nil {
		return -1
	}
	return pause
}

// Reset implements backoff.BackOff.
func (untilDone) Reset() {}

func readR3labs(ctx context.Context, t testing.TB, url, credential string, emit func(event)) {
	c := r3labs.NewClient(url)
	c.Connection = newClient(t)
	c.Headers["Authorization"] = "Bearer " + credential
	c.ReconnectStrategy = untilDone{ctx}
	for ctx.Err() == nil { // it takes an orderly end for the end of it all
		c.SubscribeRawWithContext(ctx, func(e *r3labs.Event) {
			emit(event{ID: string(e.ID), Type: string(e.Event), Data: string(e.Data)})
		})
	}
}

func readGoSSE(ctx context.Context, t testing.TB, url, credential string, emit func(event)) {
	c := gosse.Client{HTTPClient: newClient(t)}
	conn := c.NewConnection(subscription(ctx, t, url, credential, ""))
	conn.SubscribeToAll(func(e gosse.Event) { emit(event{ID: e.LastEventID, Type: e.Type, Data: e.Data}) })
	if err := conn.Connect(); ctx.Err() == nil {
		t.Errorf("go-sse gave up: %v", err)
	}
}

func readClient(ctx context.Context, t testing.TB, url, credential string, emit func(event)) {
	server, _, _ := strings.Cut(url, "/v1/")
	// On a busy machine, short heartbeats come too late for a client that goes by them.
	c, err := client.New(server, credential, client.WithHeartbeat(patience))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for e, err := range c.Events(ctx, client.Subscription{Channels: []string{runChannel}}) {
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("the client gave up: %v", err)
			}
			return
		}
		emit(event{ID: e.ID, Type: e.Name, Data: string(e.Data)})
	}
}
