package program

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/internal/door"
	"github.com/sluicehq/sluice/internal/front"
	"github.com/sluicehq/sluice/internal/tlstap"
)

const (
	// headerTimeout is how long a client may take to send the head of a request.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection without a request stays open.
	idleTimeout = 2 * time.Minute
	// pingTimeout is the silence after which an HTTP/2 client is pinged, and how long it
	// may take to answer.
	pingTimeout = 15 * time.Second
	// maxHeader limits the head of a request, in bytes. A token in it is large.
	maxHeader = 64 << 10
)

// newHTTPServer returns a server for HTTP/1.1 and HTTP/2, with TLS if there is a
// certificate, else HTTP/2 with prior knowledge. It has no time-outs for whole requests,
// because streams have none; handlers set deadlines where they wait.
func newHTTPServer(cfg *Config, handler http.Handler, entrance *door.Door, log *slog.Logger) (*http.Server, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// net/http would read the body of OPTIONS * without a time limit.
		DisableGeneralOptionsHandler: true,
		// This closes a connection that accepts nothing at all: the deadline of one of
		// its streams could only wait behind the write that never returns.
		HTTP2:     &http.HTTP2Config{WriteByteTimeout: cfg.WriteTimeout, SendPingTimeout: pingTimeout, PingTimeout: pingTimeout},
		ConnState: entrance.State,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			if known := door.Of(conn); known != nil {
				ctx = handlers.WithConnection(ctx, known)
			}
			if tap := tlstap.Of(conn); tap != nil {
				ctx = handlers.WithTap(ctx, tap)
			}
			return ctx
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' broken connections
	}
	if cfg.TLSCert == "" {
		protocols.SetUnencryptedHTTP2(true)
		return server, nil
	}
	protocols.SetHTTP2(cfg.HTTP2)
	certificate := &certificate{certFile: cfg.TLSCert, keyFile: cfg.TLSKey, log: log}
	if err := certificate.load(); err != nil {
		return nil, &usageError{[]string{"tls-cert: " + err.Error()}}
	}
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.get, NextProtos: []string{"h2", "http/1.1"}}
	if !cfg.HTTP2 {
		server.TLSConfig.NextProtos = []string{"http/1.1"}
	}
	if !cfg.Portable {
		server.TLSConfig = tlstap.Config(server.TLSConfig)
	}
	return server, nil
}

// serveHTTP serves until the server is closed. If its clients connect over plain TCP, the
// front answers their publishes.
func serveHTTP(server *http.Server, entrance *door.Door, publishes *front.Front, listener net.Listener) (err error) {
	_, tcp := listener.Addr().(*net.TCPAddr)
	if isSocket(listener.Addr()) {
		server.Handler = overSocket(server.Handler)
	}
	switch {
	case server.TLSConfig != nil:
		err = server.ServeTLS(tlstap.Listener(entrance.Listener(listener)), "", "")
	case tcp:
		err = server.Serve(publishes.Listener(listener))
	default:
		err = server.Serve(entrance.Listener(listener))
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// certificate is a TLS certificate that is reloaded when its files change.
type certificate struct {
	// Static after construction.
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate // guarded by mu
	version string           // guarded by mu; of the files that loaded came from
	checked time.Time        // guarded by mu
}

// certificateCheck is the minimum time between two looks at the files.
const certificateCheck = 10 * time.Second

// get implements [tls.Config.GetCertificate]. If a renewed pair cannot be read, this is
// logged and the last good one stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) > certificateCheck {
		c.checked = now
		if err := c.reload(); err != nil {
			c.log.Error("certificate not renewed", slog.Any("error", err))
		}
	}
	return c.loaded, nil
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = time.Now()
	return c.reload()
}

// reload reads the files if they have changed. The caller holds c.mu.
func (c *certificate) reload() error {
	version, err := versionOf(c.certFile, c.keyFile)
	if err != nil || version == c.version {
		return err
	}
	loaded, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.loaded, c.version = &loaded, version
	return nil
}

// versionOf returns a text that changes when one of the files does.
func versionOf(files ...string) (string, error) {
	version := ""
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return "", err
		}
		version += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return version, nil
}
