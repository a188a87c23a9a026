package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// exampleClient starts a server and returns a client for it, and stop, which ends both. Real
// programs create their client with [client.New].
func exampleClient() (c *client.Client, stop func()) {
	s := startServer()
	c, err := client.New(s.url, apiKey)
	if err != nil {
		log.Fatal(err)
	}
	return c, func() { c.Close(); s.stop() }
}

func ExampleNew() {
	c, err := client.New("https://sluice.example.com", "sk_0123456789abcdef", client.WithRetries(2))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	// Output:
}

func ExampleClient_Publish() {
	c, stop := exampleClient()
	defer stop()

	data := map[string]string{"message": "Done"}
	for range 2 {
		receipt, err := c.Publish(context.Background(), "pipeline:42", "status", data, client.IdempotencyKey("42/step-7"))
		var problem *client.Problem
		switch {
		case errors.As(err, &problem):
			fmt.Println("refused:", problem.Code(), problem.Detail)
		case err != nil:
			fmt.Println("try again with the same key:", err)
		default:
			fmt.Println(receipt.ID, "duplicate:", receipt.Duplicate)
		}
	}
	// Output:
	// 1-1 duplicate: false
	// 1-1 duplicate: true
}

func ExampleClient_Subscribe() {
	c, stop := exampleClient()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, text := range []string{"one", "two"} {
		if _, err := c.Publish(ctx, "pipeline:42", "status", text); err != nil {
			log.Fatal(err)
		}
	}

	sub := client.Subscription{Channels: []string{"pipeline:42"}, Replay: "all"}
	for message, err := range c.Subscribe(ctx, sub) {
		var gap *client.GapError
		switch {
		case errors.As(err, &gap):
			fmt.Println("lost for good:", gap) // and the loop goes on
			continue
		case err != nil:
			log.Fatal(err)
		}
		fmt.Println(message.Topic, string(message.Data))
		if message.ID.Seq == 2 {
			break
		}
	}
	// Output:
	// status "one"
	// status "two"
}

// Go types define a channel, and the server checks every message against them.
func Example_typed() {
	type Status struct {
		Message string `json:"message"`
		Step    string `json:"step,omitempty"`
	}
	status := client.Topic[Status]("status")
	pipeline := client.Channel{Name: "pipeline:{runId}", Topics: []client.AnyTopic{status}}

	c, stop := exampleClient()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Define(ctx, pipeline); err != nil {
		log.Fatal(err)
	}
	channel, err := pipeline.For(client.Params{"runId": "42"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := status.Publish(ctx, c, channel, Status{Message: "Started", Step: "fetch"}); err != nil {
		log.Fatal(err)
	}
	_, err = c.Publish(ctx, channel, "status", map[string]string{"text": "no message"})
	fmt.Println(err)

	sub := client.Subscription{Channels: []string{channel}, Replay: "all"}
	for message, err := range status.Subscribe(ctx, c, sub) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(message.Data.Step, message.Data.Message)
		break
	}
	// Output:
	// 422 The message does not match its schema: topic "status": property "message" is missing; property "message" is missing
	// fetch Started
}

// The job crashes after its first step and runs again from the beginning. Every step is
// published once.
func ExampleRun() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	job := func(crash bool) error {
		run := c.Run("pipeline:42", "42")
		if _, err := run.Start(ctx); err != nil {
			return err
		}
		for _, step := range []string{"fetch", "count"} {
			receipt, err := run.Publish(ctx, step, "status", "doing "+step)
			if err != nil {
				return err
			}
			fmt.Println(step, "duplicate:", receipt.Duplicate)
			if crash {
				return errors.New("crashed")
			}
		}
		_, err := run.Complete(ctx, map[string]int{"rows": 3})
		return err
	}
	fmt.Println(job(true))
	fmt.Println(job(false))
	// Output:
	// fetch duplicate: false
	// crashed
	// fetch duplicate: true
	// count duplicate: false
	// <nil>
}

func ExampleAsk() {
	type Approval struct {
		ID       string `json:"id"`
		Question string `json:"question"`
	}
	type Decision struct {
		ID string `json:"id"` // of the approval
		OK bool   `json:"ok"`
	}
	approval, decision := client.Topic[Approval]("approval"), client.Topic[Decision]("decision")

	c, stop := exampleClient()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	go func() { // a page, most likely
		sub := client.Subscription{Channels: []string{"pipeline:42"}, Replay: "all"}
		for asked, err := range approval.Subscribe(ctx, c, sub) {
			if err == nil {
				_, _ = decision.Publish(ctx, c, "pipeline:42", Decision{ID: asked.Data.ID, OK: true})
			}
			return
		}
	}()

	run := c.Run("pipeline:42", "42")
	question := Approval{ID: "a1", Question: "Deploy to production?"}
	answer, err := client.Ask(ctx, run, "approve", approval, question, decision, func(d Decision) bool { return d.ID == "a1" })
	fmt.Println(answer.OK, err)
	// Output: true <nil>
}

func ExampleClient_PublishBatch() {
	c, stop := exampleClient()
	defer stop()

	results, err := c.PublishBatch(context.Background(), []client.Item{
		{Channel: "pipeline:42", Topic: "status", Data: "Done", RunID: "42"},
		{Channel: "user:7", Topic: "inbox", Data: "Your run is done.", IdempotencyKey: "42-done"},
		{Channel: "user:7", Topic: "error", Data: "not a topic"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range results {
		var problem *client.Problem
		if errors.As(result.Err, &problem) {
			fmt.Println("refused:", problem.Code())
			continue
		}
		fmt.Println(result.Receipt.ID, result.Receipt.Durable)
	}
	// Output:
	// 1-1 false
	// 1-2 true
	// refused: malformed
}

func ExampleClient_PublishLines() {
	c, stop := exampleClient()
	defer stop()

	tokens := slices.Values([]client.Item{
		{Channel: "chat:7", Topic: "tokens", Data: "Hel"},
		{Channel: "chat:7", Topic: "tokens", Data: "lo"},
	})
	for receipt, err := range c.PublishLines(context.Background(), tokens) {
		fmt.Println(receipt.ID, err)
	}
	// Output:
	// 1-1 <nil>
	// 1-2 <nil>
}

func ExampleClient_PublishStream() {
	c, stop := exampleClient()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	receipt, err := c.PublishStream(ctx, "build:7", "log", strings.NewReader("Compiling…\nLinking…\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Bytes, "bytes")

	var texts client.Texts
	sub := client.Subscription{Channels: []string{"build:7"}, Replay: "all"}
	for message, err := range c.Subscribe(ctx, sub) {
		text, ok := texts.Add(message, err)
		if err != nil {
			log.Fatal(err)
		}
		if ok && text.State != client.TextOpen {
			fmt.Printf("%s:\n%s", text.State, text)
			break
		}
	}
	// Output:
	// 24 bytes
	// complete:
	// Compiling…
	// Linking…
}

func ExampleClient_Token() {
	c, stop := exampleClient()
	defer stop()

	token, err := c.Token(context.Background(), client.TokenRequest{
		Sub:       "user-7",
		Subscribe: []schemas.Grant{{Channel: "pipeline:42", Topics: []string{"status", "approval"}}},
		Publish:   []schemas.Grant{{Channel: "pipeline:42", Topics: []string{"decision"}}},
		TTL:       10 * time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	left := time.Until(token.ExpiresAt.Std())
	fmt.Println(token.TokenType, left.Round(time.Minute))
	// Output: Bearer 10m0s
}
