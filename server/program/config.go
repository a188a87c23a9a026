package program

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluicehq/sluice/schemas"
)

//go:generate go test -run TestConfigTable_reference . -update

// Config is the configuration of the server. Its tags are the only source of --help,
// of the names of variables and of keys in the file, and of the table in
// docs/reference.md: the flag --max-message-bytes is the variable
// SLUICE_MAX_MESSAGE_BYTES and the key max_message_bytes.
//
// A Config that [settings.config] has checked is valid and never changes.
type Config struct {
	File string `name:"config" placeholder:"FILE" group:"start" help:"YAML file with settings."`
	Dev  bool   `group:"start" help:"Development mode: listens on loopback only, makes a random API key and signing key, and opens the dashboard at / to everyone on this machine."`

	DevHosts []string `name:"dev-allow-hosts" placeholder:"HOST" group:"start" help:"Hosts by which others may reach a development server, such as host.docker.internal or the name of its container; they still need the API key. With it, --listen may be an address that is not loopback. Default: none, so that --dev serves this machine only."`

	// Listen is host:port, or unix: and a path. An empty host means all addresses, port
	// 0 a free port.
	Listen string `placeholder:"ADDRESS" group:"start" help:"Address to listen on, or unix: and the path of a socket. Port 0 picks a free port. Default: :8080, or 127.0.0.1:8080 with --dev."`

	PublicURL string `name:"public-url" placeholder:"URL" group:"start" help:"URL at which clients reach the service, such as https://sluice.example.com or https://example.com/sluice. The URLs that come with tokens begin with it. Default: the URL of the request for the token."`

	TLSCert string `name:"tls-cert" placeholder:"FILE" group:"start" help:"Certificate chain in PEM. A renewed file is picked up. Without it, HTTP/1.1 and HTTP/2 with prior knowledge are served unencrypted."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" group:"start" help:"Private key of the certificate, in PEM."`
	HTTP2   bool   `name:"http2" default:"true" group:"start" help:"Offer HTTP/2 over TLS. With --http2=false, TLS clients use HTTP/1.1, where a stream takes a fraction of the memory."`

	APIKeys        []string       `name:"api-keys" secret:"" placeholder:"KEY" group:"access" help:"Keys of your backends. Keys shorter than 16 characters can be guessed and cause a warning. Without --dev, either these or a file of named keys is required. Every user of the machine can see a flag: prefer the variable or its file."`
	APIKeysFile    string         `name:"api-keys-file" placeholder:"FILE" group:"access" help:"YAML or JSON file with named API keys, each with what it may publish and read; sluice keys api makes them. A changed file is picked up within a second. If the variable names a file of plain keys, they are those of --api-keys."`
	SigningKeys    string         `placeholder:"FILE" group:"access" help:"File with a private JWK set that signs tokens. Without --dev, --data or --nats, either this or a secret is required. A changed file is picked up."`
	SigningSecret  string         `secret:"" placeholder:"SECRET" group:"access" help:"Secret of at least 32 bytes that signs tokens with HS256, instead of keys."`
	Issuers        string         `placeholder:"FILE" group:"access" help:"File with other issuers whose tokens are also accepted."`
	Issuer         string         `default:"sluice" group:"access" help:"Issuer (iss) of the tokens that this server makes."`
	Audience       string         `default:"sluice" group:"access" help:"Audience (aud) of the tokens that this server makes."`
	TokenMaxTTL    time.Duration  `name:"token-max-ttl" default:"24h" group:"access" help:"Maximum lifetime of a token."`
	MaxRevocations int            `default:"1000000" group:"access" help:"Maximum number of revoked tokens that are remembered until they expire."`
	CORSOrigins    []string       `name:"cors-origins" placeholder:"ORIGIN" group:"access" help:"Origins whose pages may send requests, such as https://app.example.com or https://*.example.com; * allows every origin. Default: none, or localhost with --dev."`
	TokenCookie    string         `placeholder:"NAME" group:"access" help:"Cookie that may carry the token of GET /v1/subscribe, for an EventSource. Only pages of this origin and of those in --cors-origins may use it. Default: none."`
	TrustedProxies []netip.Prefix `placeholder:"NETWORK" group:"access" help:"Networks of your proxies. Their X-Forwarded-For is trusted for limits by address and for logs, their X-Forwarded-Proto and X-Forwarded-Host for the URLs that come with tokens. Forwarded is not read. Default: none."`

	// A setting of one engine is tagged with the flag that chooses this engine.
	Data         string           `name:"data" placeholder:"DIR" group:"engine" help:"Directory of the disk engine: messages, remembered publishes, revocations and definitions survive a restart. Only one server may use it at a time. It holds the private key that signs tokens, unencrypted, unless you give keys or a secret."`
	DataSync     time.Duration    `engine:"data" default:"100ms" group:"engine" help:"Maximum time until an ordinary publish survives a power failure. A durable publish does as soon as it is answered."`
	DataBytes    schemas.ByteSize `engine:"data" default:"0" group:"engine" help:"Maximum bytes of messages on disk, over all channels; 0 means no limit of its own."`
	NATS         []string         `name:"nats" secret:"" placeholder:"URL" group:"engine" help:"URLs of the servers of one NATS cluster with JetStream, comma-separated. All Sluice servers that use the cluster form one service. A URL may carry a user and password, or a token: nats://user:password@host:4222. Keep such URLs in the file. NATS holds the private key that signs tokens, unencrypted, unless you give keys or a secret."`
	NATSName     string           `name:"nats-name" engine:"nats" default:"sluice" group:"engine" help:"Prefix of the names of streams and subjects. Servers with the same prefix form one service."`
	NATSReplicas int              `name:"nats-replicas" engine:"nats" default:"0" group:"engine" help:"Copies of each message; 0 means one on each NATS server, up to 3."`
	NATSShards   int              `name:"nats-shards" engine:"nats" default:"1" group:"engine" help:"Number of streams over which channels are spread. Must never change: ids encode it."`
	NATSBytes    schemas.ByteSize `name:"nats-bytes" engine:"nats" default:"0" group:"engine" help:"Maximum bytes of messages in NATS, over all channels; 0 means no limit of its own."`
	NATSCreds    string           `name:"nats-creds" engine:"nats" placeholder:"FILE" group:"engine" help:"File with the credentials of a NATS user: its JWT and the seed of its key."`
	NATSNKey     string           `name:"nats-nkey" engine:"nats" placeholder:"FILE" group:"engine" help:"File with the seed of a NATS user's key."`
	NATSCA       string           `name:"nats-ca" engine:"nats" placeholder:"FILE" group:"engine" help:"Certificate authorities that the NATS servers are verified with, in PEM. Default: those of the system."`
	NATSCert     string           `name:"nats-cert" engine:"nats" placeholder:"FILE" group:"engine" help:"Client certificate for NATS, in PEM."`
	NATSKey      string           `name:"nats-key" engine:"nats" placeholder:"FILE" group:"engine" help:"Private key of the client certificate, in PEM."`
	NATSTimeout  time.Duration    `name:"nats-timeout" engine:"nats" default:"5s" group:"engine" help:"Maximum time that a publish waits for NATS."`
	NATSCutOff   time.Duration    `name:"nats-cut-off" engine:"nats" default:"10s" group:"engine" help:"How long NATS may be unreachable before this server ends its streams, so that clients reconnect to another server."`

	Channels        string           `placeholder:"FILE" group:"messages" help:"File with channel definitions."`
	ReplayMessages  int              `default:"256" group:"messages" help:"Maximum number of messages that a channel keeps for replay."`
	ReplayBytes     schemas.ByteSize `default:"1MiB" group:"messages" help:"Maximum bytes of messages that a channel keeps for replay."`
	MaxTextBytes    schemas.ByteSize `default:"1MiB" group:"messages" help:"Maximum bytes of a text that a channel keeps. A longer one loses its beginning."`
	TextGrace       time.Duration    `default:"30s" group:"messages" help:"How long a text with a stream id stays open for its publisher to resume it, after the connection was lost."`
	ReplayAge       time.Duration    `default:"10m" group:"messages" help:"How long a channel keeps a message for replay."`
	Memory          schemas.ByteSize `default:"256MiB" group:"messages" help:"Maximum bytes of messages in memory, over all channels."`
	MaxMessageBytes schemas.ByteSize `default:"60KiB" group:"messages" help:"Maximum size of an event, up to 1MiB. Widely used clients fail at 64KiB."`
	MaxChannels     int              `default:"1000000" group:"messages" help:"Maximum number of channels."`
	RememberBytes   schemas.ByteSize `default:"64MiB" group:"messages" help:"Memory for remembered durable publishes. With --data and --nats they are kept elsewhere."`
	RememberFor     time.Duration    `default:"24h" group:"messages" help:"How long a durable publish is remembered, and the attempts at a text."`

	Pace                 time.Duration `default:"1ms" group:"streams" help:"Minimum time between two sweeps over the readers of a channel; 0 means no wait."`
	Heartbeat            time.Duration `default:"15s" group:"streams" help:"Maximum silence on a stream before the server sends a heartbeat."`
	WriteTimeout         time.Duration `default:"10s" group:"streams" help:"How long a reader's socket may accept nothing before its stream is closed."`
	MaxStreamAge         time.Duration `default:"0s" group:"streams" help:"Age at which a stream is closed and its client asked to reconnect; 0 means never."`
	DrainTimeout         time.Duration `default:"20s" group:"streams" help:"Maximum time that a shutdown takes to drain the open streams."`
	MaxStreams           int           `default:"0" group:"streams" help:"Maximum number of open streams; 0 means no limit."`
	MaxStreamsPerSubject int           `default:"0" group:"streams" help:"Maximum number of open streams for one token subject, or for one token without a subject; 0 means no limit. Streams with an API key do not count."`
	MaxStreamsPerAddress int           `default:"0" group:"streams" help:"Maximum number of open streams from one address; 0 means no limit."`
	Portable             bool          `group:"streams" help:"Write every stream through Go's net/http with one goroutine each, as for HTTP/2. Without this flag, a few loops write HTTP/1.1 streams on Linux, over TCP and TLS 1.3."`
	MaxChannelsPerStream int           `default:"256" group:"streams" help:"Maximum number of channels and patterns that one stream may name."`

	MaxPublishesPerKey        int              `default:"0" group:"rates" help:"Maximum number of messages that one API key may publish per second; 0 means no limit."`
	MaxPublishesPerSubject    int              `default:"0" group:"rates" help:"Maximum number of messages that one token subject, or one token without a subject, may publish per second; 0 means no limit."`
	MaxPublishesPerAddress    int              `default:"0" group:"rates" help:"Maximum number of messages that one address, or one /64 network of IPv6, may publish per second; 0 means no limit."`
	MaxPublishBytesPerKey     schemas.ByteSize `default:"0" group:"rates" help:"Maximum bytes of data that one API key may publish per second; 0 means no limit."`
	MaxPublishBytesPerSubject schemas.ByteSize `default:"0" group:"rates" help:"Maximum bytes of data that one token subject, or one token without a subject, may publish per second; 0 means no limit."`
	MaxPublishBytesPerAddress schemas.ByteSize `default:"0" group:"rates" help:"Maximum bytes of data that one address, or one /64 network of IPv6, may publish per second; 0 means no limit."`
	PublishBurst              time.Duration    `default:"1s" group:"rates" help:"How many seconds' worth of these limits may come at once, after a pause."`

	Webhooks      string         `placeholder:"FILE" group:"webhooks" help:"YAML or JSON file with the URLs that are notified when runs end, and when channels get their first reader or lose their last one, each with the secret that signs what is sent to it. A changed file is picked up within a second."`
	WebhooksAllow []netip.Prefix `name:"webhooks-allow" placeholder:"NETWORK" group:"webhooks" help:"Networks that are not public, such as 10.0.0.0/8, to which webhooks may be sent nevertheless. Default: none, or this machine with --dev."`

	LogLevel  slog.Level `default:"info" group:"logs" help:"Minimum level that is logged: debug, info, warn or error."`
	LogFormat string     `placeholder:"FORMAT" group:"logs" help:"json or text. Default: text on a terminal, json elsewhere."`

	// APIKeyMade means that the only API key was made at the start, so it has to be
	// shown.
	APIKeyMade bool `kong:"-"`

	// Warnings name what is allowed but unwise. They quote no secret.
	Warnings []string `kong:"-"`
}

// groups are the groups of flags in --help.
var groups = []kong.Group{
	{Key: "start", Title: "Start:"},
	{Key: "access", Title: "Access:"},
	{Key: "engine", Title: "Engine:"},
	{Key: "messages", Title: "Messages:"},
	{Key: "streams", Title: "Streams:"},
	{Key: "rates", Title: "Rates:"},
	{Key: "webhooks", Title: "Webhooks:"},
	{Key: "logs", Title: "Logs:"},
	{Key: "server", Title: "Server:"},
}

// Names of the engines.
const (
	memoryEngine = "memory"
	diskEngine   = "disk"
	natsEngine   = "nats"
)

// engine returns the name of the chosen engine.
func (c *Config) engine() string {
	switch {
	case c.Data != "":
		return diskEngine
	case len(c.NATS) > 0:
		return natsEngine
	}
	return memoryEngine
}

// LogValue implements [slog.LogValuer]. It shows how many secrets there are, not what
// they are, and the addresses of NATS without users and passwords.
func (c *Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Bool("dev", c.Dev),
		slog.Any("dev_allow_hosts", c.DevHosts),
		slog.String("config", c.File),
		slog.String("listen", c.Listen),
		slog.String("public_url", c.PublicURL),
		slog.Bool("tls", c.TLSCert != ""),
		slog.Bool("http2", c.HTTP2),
		slog.Int("api_keys", len(c.APIKeys)),
		slog.String("api_keys_file", c.APIKeysFile),
		slog.String("signing_keys", c.SigningKeys),
		slog.Bool("signing_secret", c.SigningSecret != ""),
		slog.String("issuers", c.Issuers),
		slog.String("data", c.Data),
		slog.Any("nats", withoutUsers(c.NATS)),
		slog.String("channels", c.Channels),
		slog.String("webhooks", c.Webhooks),
		slog.Any("cors_origins", c.CORSOrigins),
		slog.Any("trusted_proxies", c.TrustedProxies),
		slog.Int("replay_messages", c.ReplayMessages),
		slog.String("replay_bytes", c.ReplayBytes.String()),
		slog.String("max_text_bytes", c.MaxTextBytes.String()),
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
