package nats

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	natsio "github.com/nats-io/nats.go"
)

// handlers hear what happens to a connection.
type handlers struct {
	again func()       // it is about to be made again; called before anything arrives on it
	lost  func(error)  // it broke, or it dropped messages
	back  func(string) // it is up again, at this server
	after func()       // it is closed for good
}

// dialer opens connections.
type dialer struct {
	net.Dialer

	connected atomic.Bool // for the first time
	again     func()      // see handlers
}

// Dial implements [natsio.CustomDialer].
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	if d.connected.Load() {
		d.again()
	}
	return d.Dialer.Dial(network, address)
}

// connect returns a connection to one of the servers. It reconnects for ever.
func (o Options) connect(h handlers) (*natsio.Conn, error) {
	dials := &dialer{Dialer: net.Dialer{Timeout: o.dialWait}, again: h.again}
	opts := []natsio.Option{
		natsio.Name("sluice"), natsio.Timeout(o.dialWait), natsio.SetCustomDialer(dials),
		natsio.MaxReconnects(-1), natsio.ReconnectWait(100 * time.Millisecond), natsio.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		natsio.ReconnectBufSize(-1),            // what cannot be sent now fails at once
		natsio.FlusherTimeout(5 * time.Second), // if a server takes nothing, the next one is tried
		natsio.PingInterval(2 * time.Second), natsio.MaxPingsOutstanding(2),
		natsio.IgnoreAuthErrorAbort(), // credentials may be renewed in their files
		natsio.DisconnectErrHandler(func(_ *natsio.Conn, err error) { h.lost(err) }),
		natsio.ReconnectHandler(func(c *natsio.Conn) { h.back(c.ConnectedUrlRedacted()) }),
		natsio.ErrorHandler(func(_ *natsio.Conn, _ *natsio.Subscription, err error) { h.lost(err) }),
		natsio.ClosedHandler(func(*natsio.Conn) { h.after() }),
	}
	credentials, err := o.credentials()
	if err != nil {
		return nil, err
	}
	secure, err := o.secure()
	if err != nil {
		return nil, err
	}
	conn, err := natsio.Connect(strings.Join(o.URLs, ","), append(append(opts, credentials...), secure...)...)
	if err != nil {
		return nil, fmt.Errorf("nats: connect: %w", err)
	}
	dials.connected.Store(true)
	if err := errors.Join(supported(conn), o.checkPayload(conn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (o Options) credentials() ([]natsio.Option, error) {
	switch {
	case o.CredsFile != "":
		if _, err := os.Stat(o.CredsFile); err != nil {
			return nil, fmt.Errorf("nats: credentials: %w", err)
		}
		return []natsio.Option{natsio.UserCredentials(o.CredsFile)}, nil
	case o.NKeyFile != "":
		option, err := natsio.NkeyOptionFromSeed(o.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("nats: credentials: %w", err)
		}
		return []natsio.Option{option}, nil
	}
	return nil, nil
}

// secure returns the options for TLS. Without any, the connection uses TLS if the server
// or the URL asks for it.
func (o Options) secure() ([]natsio.Option, error) {
	if o.TLS != nil {
		return []natsio.Option{natsio.Secure(o.TLS.Clone())}, nil
	}
	if o.CAFile == "" && o.CertFile == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("nats: certificate authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("nats: certificate authority: %s has no certificate", o.CAFile)
		}
	}
	if o.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile); err != nil {
			return nil, fmt.Errorf("nats: certificate: %w", err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile) // read again: it may have been renewed
			return &pair, err
		}
	}
	return []natsio.Option{natsio.Secure(config)}, nil
}

// supported reports a server that is too old. Atomic batches need 2.12.
func supported(conn *natsio.Conn) error {
	version := conn.ConnectedServerVersion()
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("nats: version %q of the server: %w", version, err)
	}
	if major < 2 || major == 2 && minor < 12 {
		return fmt.Errorf("%w: the server has version %s, but 2.12 or newer is needed", ErrUnsuitable, version)
	}
	return nil
}

// knownServers returns how many servers of the cluster the connection has heard of from
// the servers themselves. It does not count configured addresses: they may be names of
// one and the same server.
func knownServers(conn *natsio.Conn) int {
	hosts := make(map[string]bool)
	for _, address := range append(conn.DiscoveredServers(), conn.ConnectedUrlRedacted()) {
		hosts[address[strings.LastIndexAny(address, "/@")+1:]] = true
	}
	return len(hosts)
}

// logLost logs why a connection broke or dropped messages.
func logLost(log *slog.Logger, err error) {
	switch {
	case err == nil: // we gave it up for the next server, and logged that
	case errors.Is(err, natsio.ErrSlowConsumer):
		log.Warn("nats delivers faster than messages are taken")
	default:
		log.Warn("nats connection", slog.Any("error", err))
	}
}
