package client_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
)

// apiKey is the API key of all test servers.
const apiKey = "sk_test_0123456789abcdef"

// server is the complete service behind a real listener on loopback.
type server struct {
	url      string
	broker   *broker.Broker
	presence *presence.Registry
	http     *http.Server
	auth     *auth.Authority
	served   chan error
}

// startServer runs the service, whose ids begin with 1-. The caller stops it.
func startServer(options ...func(*broker.Options)) *server {
	for {
		// Ports of this range are below those that systems give to outgoing connections, so
		// none of these takes it while a server that comes back there is away.
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err == nil {
			return serve(listener, options...)
		}
	}
}

// listen is startServer at an address.
func listen(address string, options ...func(*broker.Options)) *server {
	return serve(must(net.Listen("tcp", address)), options...)
}

func serve(listener net.Listener, options ...func(*broker.Options)) *server {
	o := broker.Options{Epoch: 1, Pace: -1}
	for _, option := range options {
		option(&o)
	}
	readers := presence.New(presence.Options{Grace: 100 * time.Millisecond})
	o.Audience = readers
	s := &server{
		broker: must(broker.New(o)), presence: readers,
		auth:   must(auth.New(auth.Options{APIKeys: []string{apiKey}, Keys: must(auth.NewKeyring()), Logger: slog.New(slog.DiscardHandler)})),
		served: make(chan error, 1),
	}
	if err := readers.Start(s.broker.ReportStreams); err != nil {
		panic(err)
	}
	s.http = &http.Server{ReadHeaderTimeout: time.Minute, Handler: handlers.New(handlers.Options{
		Broker: s.broker, Presence: readers, Auth: s.auth, Catalog: schemas.NewCatalog(schemas.Limits{}), Log: slog.New(slog.DiscardHandler),
		Page:            fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}},
		MaxMessageBytes: 60 << 10, WriteTimeout: 10 * time.Second,
	})}
	s.url = "http://" + listener.Addr().String()
	go func() { s.served <- s.http.Serve(listener) }() // ends with stop
	return s
}

// stop ends the service like a crash, without telling the clients.
func (s *server) stop() {
	s.http.Close()
	<-s.served
	s.broker.Close()
	s.presence.Close()
	s.auth.Close()
}

// realServer starts a server until the test ends, and returns a client for it.
func realServer(t *testing.T, options ...client.Option) (*client.Client, *server) {
	t.Helper()
	s := startServer()
	t.Cleanup(s.stop)
	return clientOf(t, s.url, options...), s
}

func clientOf(t *testing.T, url string, options ...client.Option) *client.Client {
	t.Helper()
	c := must(client.New(url, apiKey, options...))
	t.Cleanup(c.Close)
	return c
}

// must returns v, and panics if err is not nil.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
