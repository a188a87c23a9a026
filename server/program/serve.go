package program

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/door"
	"github.com/sluicehq/sluice/internal/front"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/internal/system"
	"github.com/sluicehq/sluice/internal/tracing"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/server/program/memory"
	"github.com/sluicehq/sluice/server/program/signals"
	"github.com/sluicehq/sluice/server/program/systemd"
	"github.com/sluicehq/sluice/web"
)

// serveCmd is the command serve.
type serveCmd struct {
	Config `embed:""`

	Check bool `setting:"-" group:"start" help:"Check the configuration and the files that it names, print what is wrong, and exit."`
}

// Help implements [kong.HelpProvider].
func (*serveCmd) Help() string {
	return `A setting comes from the command line, else from its variable, else from the file, else it has its default. Its variable is shown in parentheses; its key in the file is the name of the flag with underscores. To read a secret from a file, add _FILE to its variable and set that to the path. Line breaks after a value are ignored. A list may have one item per line; any other value must be on one line.

Examples:

    sluice --dev
    sluice serve --config sluice.yaml --log-level debug
    SLUICE_API_KEYS_FILE=/run/secrets/api_keys sluice --signing-keys keys.json

SIGTERM, SIGINT and SIGHUP (unless it is ignored, as under nohup) drain the server: it ends all streams and exits. At a second SIGTERM or SIGINT it exits at once. Log lines that nobody reads are dropped and counted; they delay nothing.

--check exits with status 0 if the configuration is valid, and starts nothing.

The exit status is 0 after a drain, 1 if something failed while running, and 2 if the configuration is wrong; all faults are listed.`
}

// Run implements the command.
func (c *serveCmd) Run(ctx context.Context, std *streams, s *settings) error {
	if err := s.config(&c.Config); err != nil {
		return err
	}
	if c.Check {
		return c.report(std)
	}
	signals.OutliveReaders()
	var log *slog.Logger
	lines := newLineWriter(std.err, func(lost uint64) { log.Warn("log lines lost", "lines", lost) })
	defer lines.close(flushTimeout)
	log = newLogger(lines, c.LogLevel, logFormat(c.LogFormat, std.err))
	banner := newLineWriter(std.out, nil)
	defer banner.close(flushTimeout)
	for _, warning := range c.Warnings {
		log.Warn("questionable configuration", "warning", warning)
	}
	tracer, err := tracing.New(ctx, std.variable, tracing.Service{Version: versionName(), Engine: c.engine()}, log)
	if err != nil {
		return err
	}
	defer tracer.Close()
	return serve(ctx, &c.Config, banner, log, lines.Lost, tracer)
}

// report says whether the configuration can be started with.
func (c *serveCmd) report(std *streams) error {
	if err := c.check(); err != nil {
		return err
	}
	for _, warning := range c.Warnings {
		fmt.Fprintln(std.err, "warning:", warning)
	}
	_, err := fmt.Fprintln(std.out, "the configuration is valid")
	return err
}

// serve runs the service until ctx ends and it has drained. It puts the parts together,
// in the order of their dependencies. Writes to stdout and log must not block; logLost
// returns the number of log lines that were dropped for it. tracer may be nil.
func serve(ctx context.Context, cfg *Config, stdout io.Writer, log *slog.Logger, logLost func() uint64, tracer *tracing.Tracer) error {
	catalog, err := loadCatalog(cfg.Channels)
	if err != nil {
		return err
	}
	engine, err := openEngine(ctx, cfg, catalog, log)
	if err != nil {
		return err
	}
	defer engine.close(log)
	b, readers, err := newBroker(cfg, engine, catalog, log, tracer)
	if err != nil {
		return err
	}
	defer readers.Close()
	defer b.Close() //nolint:errcheck // nothing can be done about it at the end
	page, entrance := pageKey(cfg), door.New(log)
	// The engine, which the broker has started, may keep the keys.
	authority, err := newAuthority(ctx, cfg, page, engine.clusterState, log)
	if err != nil {
		return err
	}
	defer authority.Close()
	hooks, err := startWebhooks(cfg, engine, readers, log)
	if err != nil {
		return err
	}
	defer hooks.Close()
	service := handlers.New(handlers.Options{
		Stopping: ctx, Broker: b, Auth: authority, Catalog: catalog, Presence: readers, ClusterState: engine.clusterState, Page: web.Files(), Log: log, LogLost: logLost, Tracer: tracer,
		MaxMessageBytes: int(cfg.MaxMessageBytes), WriteTimeout: cfg.WriteTimeout,
		Node: node(cfg), NodeBus: engine.bus, Connections: func() handlers.ConnectionStats { return handlers.ConnectionStats(entrance.Stats()) },
		CORSOrigins: cfg.CORSOrigins, TrustedProxies: cfg.TrustedProxies, PublicURL: cfg.PublicURL, TokenCookie: cfg.TokenCookie, Dev: cfg.Dev, DevHosts: cfg.DevHosts, PageKey: page, Limits: publishLimits(cfg), Webhooks: hooks,
	})
	defer service.Close() //nolint:errcheck // nothing can be done about it at the end
	if err := service.Watch(ctx); err != nil {
		return err
	}
	return answer(ctx, cfg, b, service, entrance, stdout, log)
}

// answer lets clients in until ctx ends, and then drains the service, which is put together
// and has no client yet.
func answer(ctx context.Context, cfg *Config, b *broker.Broker, service *handlers.Service, entrance *door.Door, stdout io.Writer, log *slog.Logger) error {
	server, err := newHTTPServer(cfg, service, entrance, log)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	publishes := front.New(front.Options{Door: entrance, Handler: service, Log: log, FirstRequest: headerTimeout, Idle: idleTimeout})
	defer publishes.Close()
	failed := make(chan error, 1)
	go func() { failed <- serveHTTP(server, entrance, publishes, listener) }() // ends with server.Close
	defer server.Close()                                                       //nolint:errcheck // closed already after a drain

	go memory.Trim(ctx, func() int { return b.Stats().Streams }) // ends with ctx
	go memory.Pace(ctx)                                          // ends with ctx

	logListening(log, cfg, listener.Addr())
	if err := printBanner(stdout, cfg, listener.Addr()); err != nil {
		return err
	}
	defer sayReady(ctx, log)()
	select {
	case err := <-failed:
		return fmt.Errorf("the listener failed: %w", err)
	case <-ctx.Done():
	}
	tell(log, systemd.Stopping())
	drain(cfg, b, service, server, publishes, log)
	return nil
}

// sayReady tells systemd that the service is ready, and alive until the function that it
// returns is called: also during the drain, after the end of ctx.
func sayReady(ctx context.Context, log *slog.Logger) (end func()) {
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	tell(log, systemd.Ready(alive))
	return end
}

// tell logs that systemd could not be told something. It acts as if it had not happened.
func tell(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("systemd not notified", slog.Any("error", err))
	}
}

// logListening leaves the configuration out in development, where the line would hide what
// is printed beside it.
func logListening(log *slog.Logger, cfg *Config, addr net.Addr) {
	what := []any{slog.String("address", addr.String()), slog.String("engine", cfg.engine())}
	if !cfg.Dev {
		what = append(what, slog.Any("config", cfg))
	}
	log.Info("listening", what...)
}

// drain ends everything in order and within the timeout: the server becomes unready and
// refuses new requests, then the streams end in waves, then the listener closes.
func drain(cfg *Config, b *broker.Broker, service *handlers.Service, server *http.Server, publishes *front.Front, log *slog.Logger) {
	began, timeout, streams := time.Now(), cfg.DrainTimeout, b.Stats().Streams
	log.Info("draining", slog.Int("streams", streams), slog.String("timeout", timeout.String()))
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	b.StopAccepting()
	if streams > 0 || !cfg.Dev {
		<-time.After(min(time.Second, timeout/10)) // load balancers need it to notice that the server is not ready
	}
	// Half of the time is for the waves, the other half for slow sockets.
	if err := errors.Join(b.Drain(ctx, timeout/2), service.Drain(ctx), publishes.Shutdown(ctx), server.Shutdown(ctx)); err != nil {
		log.Warn("drain incomplete", slog.Int("streams", b.Stats().Streams), slog.Any("error", err))
		return
	}
	log.Info("drained", slog.Float64("seconds", time.Since(began).Round(time.Millisecond).Seconds()))
}

func loadCatalog(path string) (*schemas.Catalog, error) {
	catalog := schemas.NewCatalog(schemas.Limits{})
	if path == "" {
		return catalog, nil
	}
	definitions, err := schemas.LoadDefinitions(path)
	if err != nil {
		return nil, &usageError{[]string{"channels: " + err.Error()}}
	}
	if err := catalog.PutAll(definitions); err != nil {
		return nil, &usageError{[]string{"channels: " + path + ": " + err.Error()}}
	}
	return catalog, nil
}

// newAuthority loads the keys, to which that of the page belongs. A fault in configured keys is a fault of the
// configuration.
func newAuthority(ctx context.Context, cfg *Config, page string, store clusterstate.Store, log *slog.Logger) (*auth.Authority, error) {
	ring, err := loadKeyring(ctx, cfg, store)
	if err != nil {
		return nil, err
	}
	var issuers []auth.Issuer
	if cfg.Issuers != "" {
		if issuers, err = auth.LoadIssuers(cfg.Issuers); err != nil {
			return nil, &usageError{[]string{"issuers: " + err.Error()}}
		}
	}
	keys := cfg.APIKeys
	if page != "" {
		keys = append(slices.Clone(keys), page)
	}
	authority, err := auth.New(auth.Options{
		APIKeys: keys, APIKeyFile: cfg.APIKeysFile, Keys: ring, Issuers: issuers, Issuer: cfg.Issuer, Audience: cfg.Audience,
		MaxTTL: cfg.TokenMaxTTL, MaxRevocations: cfg.MaxRevocations, Logger: log,
	})
	if err != nil {
		return nil, &usageError{[]string{err.Error()}}
	}
	return authority, nil
}

func loadKeyring(ctx context.Context, cfg *Config, store clusterstate.Store) (ring *auth.Keyring, err error) {
	switch {
	case cfg.SigningKeys != "":
		ring, err = auth.LoadKeyring(cfg.SigningKeys)
	case cfg.SigningSecret != "":
		ring, err = auth.KeyringFromSecret([]byte(cfg.SigningSecret))
	default: // in memory, which is in development: for this start only
		return keptKeyring(ctx, store)
	}
	if err != nil {
		return nil, &usageError{[]string{"signing-keys: " + err.Error()}}
	}
	return ring, nil
}

// newBroker returns the broker, and the registry of its readers. The caller closes both, the
// broker first.
func newBroker(cfg *Config, on *engines, catalog *schemas.Catalog, log *slog.Logger, tracer *tracing.Tracer) (*broker.Broker, *presence.Registry, error) {
	readers := presence.New(presence.Options{Bus: on.bus, Log: log})
	options := brokerOptions(cfg, on, catalog, log, tracer)
	options.Audience = readers
	b, err := broker.New(options)
	if err != nil {
		return nil, nil, err
	}
	if err := readers.Start(b.ReportStreams); err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return b, readers, nil
}

// publishLimits returns the rate limits, nil if there are none.
func publishLimits(cfg *Config) *ratelimit.Limits {
	return ratelimit.New(ratelimit.Options{
		Key:     ratelimit.Rate{Messages: int64(cfg.MaxPublishesPerKey), Bytes: int64(cfg.MaxPublishBytesPerKey)},
		Subject: ratelimit.Rate{Messages: int64(cfg.MaxPublishesPerSubject), Bytes: int64(cfg.MaxPublishBytesPerSubject)},
		Address: ratelimit.Rate{Messages: int64(cfg.MaxPublishesPerAddress), Bytes: int64(cfg.MaxPublishBytesPerAddress)},
		Burst:   cfg.PublishBurst,
	})
}

// pageKey returns an API key for the dashboard, which a development server puts into it: one
// that only this start knows. Otherwise "".
func pageKey(cfg *Config) string {
	if !cfg.Dev {
		return ""
	}
	return rand.Text()
}

// node describes this node to those who read the channel $system.
func node(cfg *Config) system.Node {
	name, _ := os.Hostname() // "" if the system does not tell
	return system.Node{
		Name: name, Version: versionName(), Engine: cfg.engine(), StartedAt: schemas.TimeOf(time.Now()), MemoryBytes: int64(cfg.Memory),
	}
}

func brokerOptions(cfg *Config, engine *engines, catalog *schemas.Catalog, log *slog.Logger, tracer *tracing.Tracer) broker.Options {
	var deliveries *delivery.Follower
	if tracer != nil {
		deliveries = delivery.New(tracer)
	}
	pace := cfg.Pace
	if pace == 0 {
		pace = -1
	}
	loops := 0 // one a core
	if cfg.Portable {
		loops = -1
	}
	options := broker.Options{
		Loops: loops, WriteTimeout: cfg.WriteTimeout,
		Replay: replay(cfg), LimitsOf: limitsOf(catalog),
		Memory: int64(cfg.Memory), MaxChannels: cfg.MaxChannels, MaxEventBytes: int(cfg.MaxMessageBytes),
		RememberBytes: int64(cfg.RememberBytes), RememberFor: cfg.RememberFor, TextGrace: cfg.TextGrace,
		MaxStreams: cfg.MaxStreams, MaxStreamsPerSubject: cfg.MaxStreamsPerSubject,
		MaxStreamsPerAddress: cfg.MaxStreamsPerAddress, MaxChannelsPerStream: cfg.MaxChannelsPerStream,
		Log: log, Deliveries: deliveries, Pace: pace, Heartbeat: cfg.Heartbeat, MaxStreamAge: cfg.MaxStreamAge,
	}
	engine.chosen(&options)
	return options
}
