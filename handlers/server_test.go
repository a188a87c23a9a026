package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/internal/tlstap"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
)

// apiKey is the API key of all test servers. It must never be in a log.
const apiKey = "test-api-key-7f1c"

// maxEvent is the longest event of all test servers, unless a test sets another limit.
const maxEvent = 60 << 10

// server is the complete service behind a real net/http server.
type server struct {
	t        testing.TB
	url      string
	broker   *broker.Broker
	auth     *auth.Authority
	catalog  *schemas.Catalog
	presence *presence.Registry
	handler  http.Handler
	service  *handlers.Service
	fronted  *fronted // nil without a front
	http     *http.Client
	dial     func(context.Context) (net.Conn, error)
	log      *journal
	observe  func(*answer) // called with every answer; may be nil
}

// setup has the settings of a server that a test may change.
type setup struct {
	broker   broker.Options
	auth     auth.Options
	handlers handlers.Options
	listener net.Listener // default: loopback
	dial     func(context.Context) (net.Conn, error)
	log      *journal
	level    slog.Level // of the log; default: debug
	h2       bool       // the client speaks HTTP/2
	secure   bool       // over TLS, with a tap
	front    bool       // simple publishes are answered in front of net/http
}

// start runs a server until the test ends.
func start(t testing.TB, change ...func(*setup)) *server {
	t.Helper()
	o := setup{
		broker:   broker.Options{MaxEventBytes: maxEvent, Pace: -1},
		auth:     auth.Options{APIKeys: []string{apiKey}, Keys: must(auth.NewKeyring())},
		handlers: handlers.Options{MaxMessageBytes: maxEvent, WriteTimeout: 10 * time.Second, Page: page()},
		log:      new(journal),
		level:    slog.LevelDebug,
	}
	for _, f := range change {
		f(&o)
	}
	logger := slog.New(slog.NewJSONHandler(o.log, &slog.HandlerOptions{Level: o.level}))
	o.auth.Logger = logger
	readers := presence.New(presence.Options{Grace: time.Second / 5, Log: logger})
	o.broker.Audience, o.handlers.Presence = readers, readers
	s := &server{t: t, log: o.log, auth: must(auth.New(o.auth)), broker: must(broker.New(o.broker)), presence: readers, catalog: schemas.NewCatalog(schemas.Limits{})}
	if err := readers.Start(s.broker.ReportStreams); err != nil {
		t.Fatal(err)
	}
	o.handlers.Broker, o.handlers.Auth, o.handlers.Log = s.broker, s.auth, logger
	if o.handlers.Catalog == nil {
		o.handlers.Catalog = s.catalog
	}
	s.catalog = o.handlers.Catalog
	service := handlers.New(o.handlers)
	s.handler, s.service = service, service
	if o.handlers.ClusterState != nil {
		if err := service.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.serve(&o)
	return s
}

// serve listens until the test ends.
func (s *server) serve(o *setup) {
	if o.listener == nil {
		o.listener = must(net.Listen("tcp", "127.0.0.1:0"))
		address := o.listener.Addr().String()
		o.dial = func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) }
	}
	both, one := new(http.Protocols), new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	one.SetHTTP1(!o.h2)
	one.SetUnencryptedHTTP2(o.h2)
	srv := &http.Server{Handler: s.handler, Protocols: both, ErrorLog: log(o.log), ReadHeaderTimeout: 10 * time.Second}
	s.putInFront(o, srv)
	serve, scheme := srv.Serve, "http://"
	if o.secure {
		both.SetHTTP2(true)
		one.SetHTTP2(o.h2)
		srv.TLSConfig, srv.ConnContext, o.dial = secured(o)
		serve = func(l net.Listener) error { return srv.ServeTLS(tlstap.Listener(l), "", "") }
		scheme = "https://"
	}
	served := make(chan error, 1)
	go func() { served <- serve(o.listener) }() // ends with srv.Close
	s.dial = o.dial
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return o.dial(ctx) }
	transport := &http.Transport{Protocols: one, DialContext: dial, DialTLSContext: dial, DisableCompression: true}
	s.http = &http.Client{Transport: transport}
	s.url = scheme + o.listener.Addr().String()
	s.t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := srv.Close(); err != nil {
			s.t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			s.t.Error(err)
		}
		if err := s.service.Close(); err != nil {
			s.t.Error(err)
		}
		if err := s.broker.Close(); err != nil {
			s.t.Error(err)
		}
		s.presence.Close()
		s.auth.Close()
	})
}

// page returns the files of a page.
func page() fstest.MapFS {
	return fstest.MapFS{
		"index.html":    {Data: []byte("<!doctype html><title>Sluice</title>")},
		"app.js":        {Data: []byte("export {}")},
		"style.css":     {Data: []byte("body {}")},
		"favicon.svg":   {Data: []byte("<svg/>")},
		"sdk/sluice.js": {Data: []byte("export const channel = 1")},

		"sdk/sluice.tgz": {Data: []byte("\x1f\x8b")},
	}
}

// token returns a token with the given topics of the channel, to read and to
// publish.
func (s *server) token(channel string, topics ...string) string {
	s.t.Helper()
	g := schemas.Grants{{Channel: schemas.Pattern(channel), Topics: topics}}
	return s.mint(auth.TokenRequest{Subject: "user-7", Subscribe: g, Publish: g}).Token
}

func (s *server) mint(r auth.TokenRequest) auth.Token {
	s.t.Helper()
	t, err := s.auth.Mint(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// publish publishes JSON with the API key.
func (s *server) publish(channel, topic, data string) schemas.Receipt {
	s.t.Helper()
	r, err := s.broker.Publish(s.t.Context(), broker.Publication{Channel: schemas.Channel(channel), Topic: schemas.Topic(topic), Data: []byte(data)})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// messages returns the messages of the channel.
func (s *server) messages(channel string) []schemas.Message {
	s.t.Helper()
	var all []schemas.Message
	page, err := s.broker.History(context.Background(), schemas.Channel(channel), broker.Query{Limit: 10_000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, raw := range page.Messages {
		var m schemas.Message
		if err := json.Unmarshal(raw, &m); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// must returns v, and panics if err is not nil.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// lines returns the lines that contain all of the parts.
func (j *journal) lines(parts ...string) []string {
	var found []string
	for line := range strings.Lines(j.String()) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

// drained reads the body to its end and closes it.
func drained(t testing.TB, body io.ReadCloser) string {
	t.Helper()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	body.Close()
	return string(text)
}
