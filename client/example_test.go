package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/sluicehq/sluice/client"
)

// exampleServer speaks the wire's words for the examples below: a stream that
// breaks off once in the middle of its second message, a receipt, a token.
func exampleServer() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/subscribe", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if r.Header.Get("Last-Event-ID") == "" {
			io.WriteString(w, openFrame(0)+messageFrame(1)+messageFrame(2)[:50])
			return
		}
		io.WriteString(w, openFrame(1)+messageFrame(2)+messageFrame(3)+closeFrame(4410, "channel_deleted", false, 0))
	})
	mux.HandleFunc("POST /v1/publish/{channel}/{topic}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, receiptJSON)
	})
	mux.HandleFunc("POST /v1/publish", duplex(func(string) string { return receiptJSON }))
	mux.HandleFunc("POST /v1/tokens", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"token":"eyJhb…","token_type":"Bearer","jti":"j1","expires_at":"2026-11-23T06:28:03.222Z","subscribe_url":"http://localhost/v1/subscribe?access_token=eyJhb…"}`)
	})
	return httptest.NewServer(mux)
}

func ExampleClient_Subscribe() {
	server := exampleServer()
	defer server.Close()

	c, err := client.New(server.URL, "sk_dev_0123456789abcdef")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for event, err := range c.Subscribe(ctx, client.Subscription{Channels: []string{"c"}}) {
		var closed *client.CloseError
		switch {
		case errors.As(err, &closed):
			fmt.Println("closed:", closed.Reason)
		case err != nil:
			log.Fatal(err)
		case event.Gap != nil:
			fmt.Println("messages after", event.Gap.After, "are lost:", event.Gap.Reason)
		case event.Message != nil:
			fmt.Println(event.Message.Topic, string(event.Message.Data))
		}
	}
	// Output:
	// status {"n":1}
	// status {"n":2}
	// status {"n":3}
	// closed: channel_deleted
}

func ExampleClient_Publish() {
	server := exampleServer()
	defer server.Close()

	c, err := client.New(server.URL, "sk_dev_0123456789abcdef")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	data := map[string]string{"message": "Done"}
	receipt, err := c.Publish(context.Background(), "c", "status", data, client.IdempotencyKey("step-7"))
	var problem *client.Problem
	switch {
	case errors.As(err, &problem):
		fmt.Println("refused:", problem.Detail)
	case err != nil:
		fmt.Println("try again with the same key:", err)
	default:
		fmt.Println(receipt.ID, receipt.Durable)
	}
	// Output: k3f9-7 true
}

func ExampleClient_PublishLines() {
	server := exampleServer()
	defer server.Close()

	c, err := client.New(server.URL, "sk_dev_0123456789abcdef")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	items := slices.Values([]client.Item{
		{Channel: "c", Topic: "tokens", Data: "Hel"},
		{Channel: "c", Topic: "tokens", Data: "lo"},
	})
	for receipt, err := range c.PublishLines(context.Background(), items) {
		fmt.Println(receipt.ID, err)
	}
	// Output:
	// k3f9-7 <nil>
	// k3f9-7 <nil>
}

func ExampleClient_Token() {
	server := exampleServer()
	defer server.Close()

	c, err := client.New(server.URL, "sk_dev_0123456789abcdef")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	token, err := c.Token(context.Background(), client.TokenRequest{
		Channel: "c",
		Topics:  []string{"status"},
		TTL:     10 * time.Minute,
	})
	fmt.Println(token.TokenType, token.ExpiresAt, err)
	// Output: Bearer 2026-11-23T06:28:03.222Z <nil>
}
