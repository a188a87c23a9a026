package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/sluicehq/sluice/client"
)

// duplex answers each line immediately with the result of reply.
func duplex(reply func(line string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			panic(err)
		}
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, reply(lines.Text()))
			control.Flush()
		}
	}
}

// The second item is only made after the receipt of the first has arrived.
func TestClient_PublishLines_fullDuplex(t *testing.T) {
	var lines []string
	c := serving(t, duplex(func(line string) string {
		lines = append(lines, line)
		if len(lines) == 2 {
			return `{"type":"/problems/too-large","title":"Too large","status":413}`
		}
		return receiptJSON
	}))
	received := make(chan struct{}, 1)
	items := func(yield func(client.Item) bool) {
		for n := range 3 {
			if !yield(client.Item{Channel: "c", Topic: "t", Data: n, IdempotencyKey: fmt.Sprint("k", n)}) {
				return
			}
			<-received
		}
	}
	var got []string
	for receipt, err := range c.PublishLines(t.Context(), items) {
		if err != nil {
			got = append(got, err.Error())
		} else {
			got = append(got, receipt.ID.String())
		}
		received <- struct{}{}
	}
	if fmt.Sprint(got) != "[k3f9-7 413 Too large k3f9-7]" {
		t.Errorf("answers %q", got)
	}
	if want := `{"channel":"c","topic":"t","data":1,"idempotency_key":"k1"}`; len(lines) != 3 || lines[1] != want {
		t.Errorf("lines %q", lines)
	}
}

func TestClient_PublishLines_loopLeft(t *testing.T) {
	c := serving(t, duplex(func(string) string { return receiptJSON }))
	ended := make(chan struct{})
	items := func(yield func(client.Item) bool) {
		defer close(ended)
		for yield(client.Item{Channel: "c", Topic: "t"}) {
		}
	}
	for range c.PublishLines(t.Context(), items) {
		break
	}
	<-ended
}

func TestClient_PublishLines_errors(t *testing.T) {
	one := func(data any) func(func(client.Item) bool) {
		return func(yield func(client.Item) bool) { yield(client.Item{Channel: "c", Topic: "t", Data: data}) }
	}
	last := func(c *client.Client, data any) (last error) {
		for _, err := range c.PublishLines(t.Context(), one(data)) {
			last = err
		}
		return last
	}
	t.Run("no credential", func(t *testing.T) {
		broken := errors.New("broken")
		c := over(t, nil, client.WithCredentials(func(context.Context) (string, error) { return "", broken }))
		if err := last(c, 1); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("refused as a whole", func(t *testing.T) {
		c := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		var problem *client.Problem
		if err := last(c, 1); !errors.As(err, &problem) || problem.Status != http.StatusUnauthorized {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no receipt", func(t *testing.T) {
		c := serving(t, duplex(func(string) string { return "<html>" }))
		if err := last(c, 1); err == nil {
			t.Error("no error")
		}
	})
	t.Run("broken off", func(t *testing.T) {
		c := serving(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, receiptJSON[:20])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		if err := last(c, 1); err == nil {
			t.Error("no error")
		}
	})
	t.Run("data that is no JSON", func(t *testing.T) {
		c := serving(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		if err := last(c, func() {}); err == nil {
			t.Error("no error")
		}
	})
}
