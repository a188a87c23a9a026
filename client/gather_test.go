package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// itemsIn returns the data of the messages in a request, with their order.
func itemsIn(r *http.Request) (data []string, array bool) {
	body, _ := io.ReadAll(r.Body)
	if array = bytes.HasPrefix(body, []byte("[")); !array {
		return []string{string(bytes.TrimSpace(body))}, false
	}
	var items []struct{ Data json.RawMessage }
	must(0, json.Unmarshal(body, &items))
	for _, item := range items {
		data = append(data, string(item.Data))
	}
	return data, true
}

// gate is a server that answers a request once it is told to, and records them.
type gate struct {
	requests chan []string // as they come
	release  chan struct{} // lets one go
	problem  func(data string) string
	whole    func(data []string) func(*http.Request) (*http.Response, error)
}

func newGate() *gate {
	return &gate{requests: make(chan []string, 100), release: make(chan struct{}, 100)}
}

func (g *gate) answer(r *http.Request) (*http.Response, error) {
	data, array := itemsIn(r)
	g.requests <- data
	select {
	case <-g.release:
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	if g.whole != nil {
		if refuse := g.whole(data); refuse != nil {
			return refuse(r)
		}
	}
	var answers []string
	for _, text := range data {
		one := strings.Replace(receiptJSON, `"k3f9-7"`, `"k3f9-`+text+`"`, 1)
		if g.problem != nil && g.problem(text) != "" {
			one = g.problem(text)
		}
		answers = append(answers, one)
	}
	if array {
		return answer(200, "application/json", strings.NewReader("["+strings.Join(answers, ",")+"]")), nil
	}
	if strings.Contains(answers[0], `"status":4`) {
		return answer(422, "application/problem+json", strings.NewReader(answers[0])), nil
	}
	return answer(201, "application/json", strings.NewReader(answers[0])), nil
}

func (g *gate) open(n int) {
	for range n {
		g.release <- struct{}{}
	}
}

// publishing publishes numbers one after the other, the next one once the one before waits,
// and returns what becomes of each.
func publishing(t *testing.T, c *client.Client, from, to int, opts ...client.PublishOption) []chan client.Result {
	var outcomes []chan client.Result
	for n := from; n < to; n++ {
		outcomes = append(outcomes, publishOne(t.Context(), c, "c", n, opts...))
		synctest.Wait()
	}
	return outcomes
}

func publishOne(ctx context.Context, c *client.Client, channel string, n int, opts ...client.PublishOption) chan client.Result {
	outcome := make(chan client.Result, 1)
	go func() { // ends with the answer or ctx
		var r client.Result
		r.Receipt, r.Err = c.Publish(ctx, channel, "t", n, opts...)
		outcome <- r
	}()
	return outcome
}

func TestClient_Publish_gathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.problem = func(data string) string {
			if data == "3" {
				return `{"type":"/problems/schema-violation","title":"T","status":422}`
			}
			return ""
		}
		c := over(t, g.answer, client.WithGather(true))
		outcomes := publishing(t, c, 0, 6)
		g.open(2)
		for n, outcome := range outcomes {
			r := <-outcome
			var problem *client.Problem
			switch {
			case n == 3:
				if !errors.As(r.Err, &problem) || problem.Status != 422 {
					t.Errorf("message 3: %v", r.Err)
				}
			case r.Err != nil || r.Receipt.ID.Seq != uint64(n):
				t.Errorf("message %d: %+v", n, r)
			}
		}
		for _, want := range [][]string{{"0"}, {"1", "2", "3", "4", "5"}} {
			if got := <-g.requests; !slices.Equal(got, want) {
				t.Errorf("request %v, want %v", got, want)
			}
		}
	})
}

func TestClient_Publish_gathersOnlyWithoutContexts(t *testing.T) {
	own := client.WithHTTPClient(&http.Client{})
	for _, tt := range []struct {
		name string
		opts []client.Option
		want bool
	}{
		{"default", nil, true},
		{"off", []client.Option{client.WithGather(false)}, false},
		{"own transport", []client.Option{own}, false},
		{"own transport, on", []client.Option{own, client.WithGather(true)}, true},
		{"credentials", []client.Option{client.WithCredentials(func(context.Context) (string, error) { return apiKey, nil })}, false},
		{"tokens", []client.Option{client.WithTokens(func(context.Context) (client.Token, error) { return client.Token{Token: apiKey}, nil })}, false},
	} {
		if got := client.Gathers(must(client.New("http://sluice.test", apiKey, tt.opts...))); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A caller that gives up while its message waits is taken out. Later it gets its error, and the
// others their receipts. The last one ends the request.
func TestClient_Publish_gatheredAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := over(t, g.answer, client.WithGather(true))
		ctx, giveUp := context.WithCancel(t.Context())
		first := publishOne(t.Context(), c, "c", 0)
		synctest.Wait()
		waits := publishOne(ctx, c, "c", 1)
		synctest.Wait()
		others := publishing(t, c, 2, 4)
		giveUp()
		if r := <-waits; !errors.Is(r.Err, context.Canceled) || !strings.Contains(r.Err.Error(), "nothing was sent") {
			t.Errorf("the one that waited: %v", r.Err)
		}
		g.open(1)
		<-first
		synctest.Wait()

		ctx, giveUp = context.WithCancel(t.Context())
		var late []chan client.Result
		for n := 4; n < 6; n++ {
			late = append(late, publishOne(ctx, c, "c", n))
			synctest.Wait()
		}
		g.open(1)
		for _, outcome := range others {
			if r := <-outcome; r.Err != nil {
				t.Error(r.Err)
			}
		}
		synctest.Wait()
		last := publishOne(t.Context(), c, "c", 6)
		synctest.Wait()
		giveUp() // both: their request ends without an answer
		for _, outcome := range late {
			if r := <-outcome; !errors.Is(r.Err, context.Canceled) || !strings.Contains(r.Err.Error(), "no answer yet") {
				t.Errorf("those that had left: %v", r.Err)
			}
		}
		synctest.Wait()
		g.open(1)
		if r := <-last; r.Err != nil {
			t.Error(r.Err)
		}
		for _, want := range []string{"[0]", "[2 3]", "[4 5]", "[6]"} {
			if got := fmt.Sprint(<-g.requests); got != want {
				t.Errorf("request %v, want %v", got, want)
			}
		}
		if _, err := c.Publish(ctx, "c", "t", 7); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// Without an answer, what has a key is sent again, and only that.
func TestClient_Publish_gatheredAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.whole = func(data []string) func(*http.Request) (*http.Response, error) {
			if slices.Contains(data, "1") {
				return func(*http.Request) (*http.Response, error) { return nil, errors.New("connection lost") }
			}
			return nil
		}
		c := over(t, g.answer, client.WithGather(true))
		all := publishing(t, c, 0, 2)
		all = append(all, publishing(t, c, 2, 4, client.IdempotencyKey("k"))...)
		g.open(10)
		for n, outcome := range all {
			if r := <-outcome; (r.Err != nil) != (n == 1) {
				t.Errorf("message %d: %v", n, r.Err)
			}
		}
		for _, want := range []string{"[0]", "[1 2 3]"} {
			if got := fmt.Sprint(<-g.requests); got != want {
				t.Errorf("request %v, want %v", got, want)
			}
		}
	})
}

// If a request is refused because of one message, the others are published.
func TestClient_Publish_gatheredAndRefusedAsAWhole(t *testing.T) {
	for _, status := range []int{400, 403, 413, 422} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			g.whole = func(data []string) func(*http.Request) (*http.Response, error) {
				if slices.Contains(data, "3") {
					return problem(status, "no")
				}
				return nil
			}
			c := over(t, g.answer, client.WithGather(true))
			outcomes := publishing(t, c, 0, 8)
			g.open(50)
			for n, outcome := range outcomes {
				if r := <-outcome; (r.Err != nil) != (n == 3) {
					t.Errorf("%d: message %d: %v", status, n, r.Err)
				}
			}
			close(g.requests)
			var published []string
			for data := range g.requests {
				if !slices.Contains(data, "3") {
					published = append(published, data...)
				}
			}
			if got := fmt.Sprint(published); got != "[0 1 2 4 5 6 7]" {
				t.Errorf("%d: published %v", status, got)
			}
		})
	}
}

// A request that is not answered holds up only its own channels, and not for ever.
func TestClient_Publish_gatheredAndSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := over(t, g.answer, client.WithGather(true))
		began := time.Now()
		silent := publishOne(t.Context(), c, "c", 0)
		synctest.Wait()
		behind := publishOne(t.Context(), c, "c", 1)
		other := publishOne(t.Context(), c, "d", 2)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		for _, want := range []string{"[0]", "[2]"} {
			if got := fmt.Sprint(<-g.requests); got != want {
				t.Errorf("request %v, want %v", got, want)
			}
		}
		if r := <-silent; r.Err == nil || !strings.Contains(r.Err.Error(), "no answer within") || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), r.Err)
		}
		g.open(2)
		for _, outcome := range []chan client.Result{behind, other} {
			<-outcome
		}
	})
}

// counting returns a client of s that counts its requests.
func counting(t *testing.T, s *server, opts ...client.Option) (*client.Client, *atomic.Int64) {
	own := new(http.Transport)
	t.Cleanup(own.CloseIdleConnections)
	count := new(atomic.Int64)
	opts = append(opts, client.WithGather(true), client.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		count.Add(1)
		return own.RoundTrip(r)
	})}))
	return clientOf(t, s.url, opts...), count
}

// Whoever is told of an error in a batch is told the same alone.
func TestClient_Publish_gatheredErrorsAreTheSame(t *testing.T) {
	s := startServer()
	defer s.stop()
	together, _ := counting(t, s)
	alone := clientOf(t, s.url, client.WithGather(false))
	type message struct {
		channel, topic string
		data           any
		opts           []client.PublishOption
	}
	messages := []message{
		{"a b", "t", 1, nil},
		{"c", "t t", 1, nil},
		{"c", "t", strings.Repeat("x", 70_000), nil},
		{"c", "t", strings.Repeat("x", 200_000), nil},
		{"c", "t", json.RawMessage(strings.Repeat("[", 600) + strings.Repeat("]", 600)), nil},
		{"c", "t", 1, []client.PublishOption{client.IdempotencyKey("a\tb")}},
		{"c", "t", 1, []client.PublishOption{client.RunID("r\n")}},
		{"c", "t", 1, nil},
	}
	text := func(err error) string {
		var problem *client.Problem
		if errors.As(err, &problem) {
			return fmt.Sprint(problem.Type, problem.Error())
		}
		return fmt.Sprint(err)
	}
	got := make([]string, len(messages))
	var all sync.WaitGroup
	for i, m := range messages {
		all.Go(func() {
			_, err := together.Publish(t.Context(), m.channel, m.topic, m.data, m.opts...)
			got[i] = text(err)
		})
	}
	all.Wait()
	for i, m := range messages {
		_, err := alone.Publish(t.Context(), m.channel, m.topic, m.data, m.opts...)
		if want := text(err); got[i] != want && m.opts == nil {
			t.Errorf("message %d: %s, alone %s", i, got[i], want)
		}
	}
}

// Whatever happens to connections and callers, each receipt is what a reader sees.
func TestClient_Publish_gatheredReceiptsAreTrue(t *testing.T) {
	s := startServer(func(o *broker.Options) { o.Replay.Messages, o.Replay.Bytes = 10_000, 64<<20 })
	defer s.stop()
	url, broke := fraying(t, s, 20_000)
	s2 := &server{url: url}
	c, count := counting(t, s2, client.WithRetries(1000))
	type outcome struct {
		channel, data, key string
		client.Result
		gaveUp bool
	}
	const publishers, each = 40, 25
	outcomes := make([]outcome, publishers*each)
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				n := p*each + i
				o := outcome{channel: fmt.Sprint("c", rand.IntN(3)), data: fmt.Sprint(p, ":", i, ":", strings.Repeat("x", rand.IntN(200)))}
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				var opts []client.PublishOption
				if rand.IntN(4) > 0 {
					o.key = fmt.Sprint("k", n)
					opts = append(opts, client.IdempotencyKey(o.key))
				}
				if o.gaveUp = rand.IntN(10) == 0; o.gaveUp {
					ctx, cancel = context.WithTimeout(ctx, rand.N(5*time.Millisecond))
				}
				o.Receipt, o.Err = c.Publish(ctx, o.channel, "t", o.data, opts...)
				cancel()
				outcomes[n] = o
			}
		})
	}
	all.Wait()
	seen, places := map[string]string{}, map[string]int{}
	for i := range 3 {
		channel := fmt.Sprint("c", i)
		for _, m := range historyOf(t, s, channel) {
			var data string
			must(0, json.Unmarshal(m.Data, &data))
			if places[data]++; places[data] > 1 {
				t.Errorf("%s was published twice", data)
			}
			seen[channel+" "+m.ID.String()] = data
		}
	}
	lost := 0
	for n, o := range outcomes {
		switch {
		case o.Err == nil:
			if got := seen[o.channel+" "+o.Receipt.ID.String()]; got != o.data || o.Receipt.Durable != (o.key != "") {
				t.Errorf("message %d: the receipt is of %.20q, not of %.20q", n, got, o.data)
			}
		case !o.gaveUp && o.key != "":
			t.Errorf("message %d with a key: %v", n, o.Err)
		default:
			lost++
		}
	}
	t.Logf("%d messages, %d requests, %d connections broke, %d without a receipt", len(outcomes), count.Load(), broke.Load(), lost)
	if broke.Load() == 0 || count.Load() >= int64(len(outcomes)) {
		t.Error("nothing was tested")
	}
}

// historyOf returns all messages of a channel.
func historyOf(t *testing.T, s *server, channel string) (all []schemas.Message) {
	t.Helper()
	page := must(s.broker.History(t.Context(), schemas.Channel(channel), broker.Query{Limit: 1000}))
	for _, raw := range page.Messages {
		var m schemas.Message
		must(0, json.Unmarshal(raw, &m))
		all = append(all, m)
	}
	return all
}

// A hundred at once take a few requests.
func TestClient_Publish_gathersAHundred(t *testing.T) {
	s := startServer()
	defer s.stop()
	c, count := counting(t, s)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range 100 {
		all.Go(func() {
			<-start
			if _, err := c.Publish(t.Context(), fmt.Sprint("c", i%5), "t", i); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	if count.Load() > 50 {
		t.Errorf("%d requests", count.Load())
	}
	t.Log(count.Load(), "requests")
}
