package main

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluicehq/sluice/schemas"
)

//go:generate go test -run TestConfigTable_readme . -update

// Config is the configuration of the server. Its tags are the one table from
// which --help, the names of variables and of keys in the file, and the table
// in the README are made: the flag --max-message-bytes is the variable
// SLUICE_MAX_MESSAGE_BYTES and the key max_message_bytes.
//
// A Config that came out of [settings.config] is valid, and nothing changes it.
type Config struct {
	File string `name:"config" placeholder:"FILE" group:"start" help:"YAML file with settings."`
	Dev  bool   `group:"start" help:"Development: loopback only, a random API key and signing key, page open to everyone there."`

	// Listen is host:port; the host is empty for all addresses. Port 0 picks one.
	Listen string `placeholder:"ADDRESS" group:"start" help:"Address to listen on; port 0 picks one. Default: :8080, with --dev 127.0.0.1:8080."`

	TLSCert string `name:"tls-cert" placeholder:"FILE" group:"start" help:"Certificate chain, PEM. A renewed file is picked up. Without it HTTP/1.1 and HTTP/2 with prior knowledge are served in the clear."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" group:"start" help:"Key of the certificate, PEM."`

	APIKeys        []string       `name:"api-keys" secret:"" placeholder:"KEY" group:"access" help:"Keys of your backends; one shorter than 16 characters can be guessed, and is warned of. Required without --dev. A flag is visible to every user of the machine: prefer the variable or its file."`
	SigningKeys    string         `placeholder:"FILE" group:"access" help:"Private JWK set that signs tokens. This or a secret is required without --dev, --data or --nats. A changed file is picked up."`
	SigningSecret  string         `secret:"" placeholder:"SECRET" group:"access" help:"Secret of 32 bytes or more that signs tokens with HS256, in place of keys."`
	Issuers        string         `placeholder:"FILE" group:"access" help:"File with foreign issuers whose tokens are accepted too."`
	Issuer         string         `default:"sluice" group:"access" help:"Issuer (iss) of the tokens made here."`
	Audience       string         `default:"sluice" group:"access" help:"Audience (aud) of the tokens made here."`
	TokenMaxTTL    time.Duration  `name:"token-max-ttl" default:"24h" group:"access" help:"Longest life of a token."`
	MaxRevocations int            `default:"1000000" group:"access" help:"Revoked tokens that are held until they expire."`
	CORSOrigins    []string       `name:"cors-origins" placeholder:"ORIGIN" group:"access" help:"Origins whose pages may ask, such as https://app.example.com; * is every origin. Default: none, with --dev localhost."`
	TrustedProxies []netip.Prefix `placeholder:"NETWORK" group:"access" help:"Networks whose X-Forwarded-For is believed for limits by address and in logs. Default: none."`

	// Those of one engine alone are tagged with the flag that chooses it.
	Data         string           `name:"data" placeholder:"DIR" group:"engine" help:"Directory of the disk engine: what is published, remembered, revoked and defined outlives a restart. It is of one server at a time. The private key that signs tokens lies there in the clear, unless keys or a secret are given."`
	DataSync     time.Duration    `engine:"data" default:"100ms" group:"engine" help:"After how long at most an ordinary publish is safe from a power failure. A durable one is when it is answered."`
	DataBytes    schemas.ByteSize `engine:"data" default:"0" group:"engine" help:"Bytes of messages on disk, all channels together; 0 is no limit of its own."`
	NATS         []string         `name:"nats" secret:"" placeholder:"URL" group:"engine" help:"Servers of a NATS cluster with JetStream: all Sluice servers there are one service. The private key that signs tokens lies there in the clear, unless keys or a secret are given."`
	NATSName     string           `name:"nats-name" engine:"nats" default:"sluice" group:"engine" help:"What the names of streams and subjects begin with. Servers with one name are one service."`
	NATSReplicas int              `name:"nats-replicas" engine:"nats" default:"0" group:"engine" help:"Copies of each message; 0 is one on each server of NATS, up to 3."`
	NATSShards   int              `name:"nats-shards" engine:"nats" default:"1" group:"engine" help:"Streams that channels are spread over. Ids of another number are not understood: it must stay as it is."`
	NATSBytes    schemas.ByteSize `name:"nats-bytes" engine:"nats" default:"0" group:"engine" help:"Bytes that NATS keeps of messages, all channels together; 0 is no limit of its own."`
	NATSCreds    string           `name:"nats-creds" engine:"nats" placeholder:"FILE" group:"engine" help:"Credentials of a NATS user: its JWT and the seed of its key."`
	NATSNKey     string           `name:"nats-nkey" engine:"nats" placeholder:"FILE" group:"engine" help:"Seed of a NATS user's key."`
	NATSUser     string           `name:"nats-user" engine:"nats" placeholder:"NAME" group:"engine" help:"Name of a NATS user."`
	NATSPassword string           `name:"nats-password" engine:"nats" secret:"" placeholder:"PASSWORD" group:"engine" help:"Password of that user. A flag is visible to every user of the machine: prefer the variable or its file."`
	NATSToken    string           `name:"nats-token" engine:"nats" secret:"" placeholder:"TOKEN" group:"engine" help:"Token that NATS wants, in place of a user."`
	NATSCA       string           `name:"nats-ca" engine:"nats" placeholder:"FILE" group:"engine" help:"Authorities that may vouch for the servers of NATS, PEM. Default: those of the system."`
	NATSCert     string           `name:"nats-cert" engine:"nats" placeholder:"FILE" group:"engine" help:"Certificate to show to NATS, PEM."`
	NATSKey      string           `name:"nats-key" engine:"nats" placeholder:"FILE" group:"engine" help:"Key of that certificate, PEM."`
	NATSTimeout  time.Duration    `name:"nats-timeout" engine:"nats" default:"5s" group:"engine" help:"How long a publish waits for NATS."`
	NATSCutOff   time.Duration    `name:"nats-cut-off" engine:"nats" default:"10s" group:"engine" help:"How long NATS may be out of reach before the streams end, to be opened on another server."`

	Channels        string           `placeholder:"FILE" group:"messages" help:"File with channel definitions."`
	ReplayMessages  int              `default:"256" group:"messages" help:"Messages that a channel keeps for replay."`
	ReplayBytes     schemas.ByteSize `default:"1MiB" group:"messages" help:"Bytes that a channel keeps for replay."`
	ReplayAge       time.Duration    `default:"10m" group:"messages" help:"How long a channel keeps a message for replay."`
	Memory          schemas.ByteSize `default:"256MiB" group:"messages" help:"Bytes that all channels keep together."`
	MaxMessageBytes schemas.ByteSize `default:"60KiB" group:"messages" help:"Longest event, up to 1MiB. Widely used clients fail on 64KiB."`
	MaxChannels     int              `default:"1000000" group:"messages" help:"Channels at a time."`
	RememberBytes   schemas.ByteSize `default:"64MiB" group:"messages" help:"Memory for the durable publishes that are remembered; --data and --nats keep them elsewhere."`
	RememberFor     time.Duration    `default:"24h" group:"messages" help:"How long a durable publish is remembered."`

	Pace                 time.Duration `default:"1ms" group:"streams" help:"Shortest time between two passes over the readers of a channel; 0 is none."`
	Heartbeat            time.Duration `default:"15s" group:"streams" help:"Silence after which a stream shows that it is alive."`
	WriteTimeout         time.Duration `default:"10s" group:"streams" help:"How long a reader's socket may take nothing before it is cut."`
	MaxStreamAge         time.Duration `default:"0s" group:"streams" help:"Age at which a stream is told to come again; 0 is never."`
	DrainTimeout         time.Duration `default:"20s" group:"streams" help:"How long ending all streams in order may take."`
	MaxStreams           int           `default:"0" group:"streams" help:"Streams at a time; 0 is no limit."`
	MaxStreamsPerSubject int           `default:"0" group:"streams" help:"Streams at a time of one token subject; 0 is no limit."`
	MaxStreamsPerAddress int           `default:"0" group:"streams" help:"Streams at a time from one address; 0 is no limit."`
	Portable             bool          `group:"streams" help:"Write every stream through Go's net/http, one goroutine each, as those over TLS and HTTP/2 are. Without it, plain HTTP/1.1 streams on Linux are written by a few loops."`
	MaxChannelsPerStream int           `default:"256" group:"streams" help:"Channels and patterns that one stream may ask for."`

	LogLevel  slog.Level `default:"info" group:"logs" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat string     `placeholder:"FORMAT" group:"logs" help:"json or text. Default: text on a terminal, json elsewhere."`

	// APIKeyMade says that the one API key was made at start, so that it may and
	// must be shown.
	APIKeyMade bool `kong:"-"`

	// Warnings are what is allowed and unwise, as text without values of secrets.
	Warnings []string `kong:"-"`
}

// groups are the groups of flags in --help.
func groups() []kong.Group {
	return []kong.Group{
		{Key: "start", Title: "Start:"},
		{Key: "access", Title: "Access:"},
		{Key: "engine", Title: "Engine:"},
		{Key: "messages", Title: "Messages:"},
		{Key: "streams", Title: "Streams:"},
		{Key: "logs", Title: "Logs:"},
		{Key: "server", Title: "Server:"},
	}
}

// Names of the engines.
const (
	memoryEngine = "memory"
	diskEngine   = "disk"
	natsEngine   = "nats"
)

// engine names the engine that is chosen.
func (c *Config) engine() string {
	switch {
	case c.Data != "":
		return diskEngine
	case len(c.NATS) > 0:
		return natsEngine
	}
	return memoryEngine
}

// LogValue implements [slog.LogValuer]: of secrets it shows how many there are,
// and of the addresses of NATS no user or password.
func (c *Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Bool("dev", c.Dev),
		slog.String("config", c.File),
		slog.String("listen", c.Listen),
		slog.Bool("tls", c.TLSCert != ""),
		slog.Int("api_keys", len(c.APIKeys)),
		slog.String("signing_keys", c.SigningKeys),
		slog.Bool("signing_secret", c.SigningSecret != ""),
		slog.String("issuers", c.Issuers),
		slog.String("data", c.Data),
		slog.Any("nats", withoutUsers(c.NATS)),
		slog.String("channels", c.Channels),
		slog.Any("cors_origins", c.CORSOrigins),
		slog.Any("trusted_proxies", c.TrustedProxies),
		slog.Int("replay_messages", c.ReplayMessages),
		slog.String("replay_bytes", c.ReplayBytes.String()),
		slog.String("replay_age", c.ReplayAge.String()),
		slog.String("memory", c.Memory.String()),
		slog.String("max_message_bytes", c.MaxMessageBytes.String()),
		slog.Int("max_streams", c.MaxStreams),
		slog.String("pace", c.Pace.String()),
		slog.Bool("portable", c.Portable),
		slog.String("heartbeat", c.Heartbeat.String()),
	)
}

// String is the text of [Config.LogValue].
func (c *Config) String() string { return "Config" + c.LogValue().String() }
