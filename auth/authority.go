package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Defaults of [Options].
const (
	DefaultName           = "sluice" // iss and aud of own tokens
	DefaultCacheBytes     = 32 << 20
	DefaultMaxRevocations = 1_000_000
)

// Options configures an [Authority].
type Options struct {
	// APIKeys may do everything. Each has 1 to 1024 printable ASCII characters,
	// no spaces.
	APIKeys []string

	// APIKeyFile is a file of named API keys, see [CheckAPIKeyFile]. It is read again within a
	// second after a change; a file with faults changes nothing and is logged. Default: none.
	APIKeyFile string

	// Keys sign own tokens. Required.
	Keys *Keyring

	// Issuers are the foreign issuers whose tokens are also accepted.
	Issuers []Issuer

	// Issuer and Audience are the iss and aud of own tokens, which must match.
	// Default: [DefaultName].
	Issuer, Audience string

	// MaxTTL is how long an own token may live: 1 s to [MaxTTLLimit]. Default:
	// [DefaultMaxTTL].
	MaxTTL time.Duration

	// CacheBytes limits the cache of verified tokens, in whole MiB. An empty cache takes
	// about half a MiB. Default: [DefaultCacheBytes]. Negative: no cache.
	CacheBytes int

	// MaxRevocations limits the revoked ids that are remembered. Default:
	// [DefaultMaxRevocations].
	MaxRevocations int

	// Logger logs unusable keys and failed fetches.
	// Default: [slog.Default].
	Logger *slog.Logger

	// HTTPClient fetches the keys of foreign issuers, with an additional time-out, size
	// limit and rule for redirects. Default: a client that uses the proxy of the
	// environment, HTTPS_PROXY and NO_PROXY, except for loopback hosts.
	HTTPClient *http.Client
}

// LogValue implements [slog.LogValuer]: it shows how many API keys there are.
func (o Options) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("api_keys", len(o.APIKeys)),
		slog.String("api_key_file", o.APIKeyFile),
		slog.Int("issuers", len(o.Issuers)),
		slog.String(logIssuer, o.Issuer),
		slog.String("audience", o.Audience),
		slog.Duration("max_ttl", o.MaxTTL),
	)
}

// String is the text of [Options.LogValue].
func (o Options) String() string { return "auth.Options" + o.LogValue().String() }

// faults returns all faults of o, whose defaults are filled in.
func (o *Options) faults() error {
	var faults []error
	if o.Keys == nil {
		faults = append(faults, errors.New("auth: there are no signing keys"))
	}
	if o.MaxTTL < MinTTL || o.MaxTTL > MaxTTLLimit {
		faults = append(faults, fmt.Errorf("auth: the maximal ttl %v is not between %v and %v", o.MaxTTL, MinTTL, MaxTTLLimit))
	}
	if o.MaxRevocations < 0 {
		faults = append(faults, fmt.Errorf("auth: %d revocations cannot be held", o.MaxRevocations))
	}
	if err := checkIssuers(o.Issuers, o.Issuer); err != nil {
		faults = append(faults, fmt.Errorf("auth: %w", err))
	}
	return errors.Join(faults...)
}

// ownIssuer is the index of this server in [Authority.issuers].
const ownIssuer = 0

// issuerKeys is one issuer whose tokens are accepted.
type issuerKeys struct {
	name     string
	audience string // "": a token must not have one
	maxTTL   time.Duration
	claims   ClaimNames
	keys     keySource

	audienceOptional bool
}

// Authority verifies credentials and mints tokens. Its methods are safe for
// concurrent use.
type Authority struct {
	// Static after construction.
	apiKeys apiKeys
	named   *namedKeys   // nil: none
	admins  []*Principal // of apiKeys, in the same order
	maxTTL  time.Duration
	own     *ownKeys
	issuers []*issuerKeys // own keys first
	byName  map[string]int
	cache   *tokenCache // nil: none
	cancel  context.CancelFunc
	// How long a revocation must be remembered: as long as any token that exists at the
	// time of the revocation can be accepted.
	holdRevoked time.Duration

	revocations *revocations
	counts      counts
	fetchers    sync.WaitGroup // the goroutines of remote key sets and of the API key file; Close ends them
}

// New returns an Authority, which the caller closes. It fetches the keys of foreign issuers
// in the background; an unreachable issuer is not an error. The error joins all faults of
// the options.
func New(o Options) (*Authority, error) {
	o.Issuer = cmp.Or(o.Issuer, DefaultName)
	o.Audience = cmp.Or(o.Audience, DefaultName)
	o.MaxTTL = cmp.Or(o.MaxTTL, DefaultMaxTTL)
	o.CacheBytes = cmp.Or(o.CacheBytes, DefaultCacheBytes)
	o.MaxRevocations = cmp.Or(o.MaxRevocations, DefaultMaxRevocations)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	hashes, err := hashAPIKeys(o.APIKeys)
	if err := errors.Join(err, o.faults()); err != nil {
		return nil, err
	}
	a := &Authority{
		apiKeys:     hashes,
		admins:      hashes.admins(),
		maxTTL:      o.MaxTTL,
		byName:      make(map[string]int),
		revocations: newRevocations(o.MaxRevocations),
	}
	if o.APIKeyFile != "" {
		if a.named, err = newNamedKeys(o.APIKeyFile, hashes, o.Logger); err != nil {
			return nil, err
		}
	}
	if o.CacheBytes > 0 {
		if a.cache, err = newTokenCache(o.CacheBytes); err != nil {
			return nil, err
		}
	}
	if err := a.addIssuers(o); err != nil {
		return nil, err
	}
	return a, nil
}

// addIssuers builds the key sources and, once nothing can fail any more, starts those that
// fetch.
func (a *Authority) addIssuers(o Options) (err error) {
	if a.own, err = newOwnKeys(o.Keys, o.MaxTTL, o.Logger); err != nil {
		return err
	}
	a.add(&issuerKeys{name: o.Issuer, audience: o.Audience, maxTTL: o.MaxTTL, keys: a.own})
	client := fetchClient(o.HTTPClient)
	var remotes []*remoteKeys
	var faults []error
	for _, issuer := range o.Issuers {
		src := &issuerKeys{
			name: issuer.Issuer, audience: issuer.Audience, audienceOptional: issuer.AudienceOptional,
			maxTTL: cmp.Or(issuer.MaxTTL, DefaultMaxTTL), claims: issuer.Claims,
		}
		if issuer.JWKSFile != "" {
			keys, err := newFileKeys(issuer, o.Logger)
			faults = append(faults, err)
			src.keys = keys
		} else {
			keys := newRemoteKeys(issuer, client, o.Logger, &a.counts)
			remotes = append(remotes, keys)
			src.keys = keys
		}
		a.add(src)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, keys := range remotes {
		a.fetchers.Go(func() { keys.run(ctx) })
	}
	if a.named != nil {
		a.fetchers.Go(func() { a.named.run(ctx) })
	}
	return nil
}

func (a *Authority) add(src *issuerKeys) {
	a.byName[src.name] = len(a.issuers)
	a.issuers = append(a.issuers, src)
	// One leeway is for the lifetime of the token, the other for the clock of the issuer,
	// which may be ahead.
	a.holdRevoked = max(a.holdRevoked, src.maxTTL+2*leeway)
}

// JWKS returns the public keys as a JWK set (RFC 7517): those that sign now, will sign, or
// have signed tokens that are still valid. It contains no secrets. The caller must not
// modify it.
func (a *Authority) JWKS() []byte { return a.own.at(time.Now()).public }

// Close stops the background fetches and the looks at the API key file, and waits for them. It
// is idempotent. What needs neither continues to work.
func (a *Authority) Close() {
	a.cancel()
	a.fetchers.Wait()
}
