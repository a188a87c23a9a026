package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// leeway is how far the clock of whoever signs tokens may be from the server's.
	leeway = 30 * time.Second
	// clockStep is the resolution of the header Date, and some more for the way.
	clockStep = 2 * time.Second
	// expirySoon is when a certificate should have been renewed.
	expirySoon = 14 * 24 * time.Hour
)

// healthAnswer is what GET /healthz said, and when.
type healthAnswer struct {
	answer
	at time.Time // half of the way between question and answer
}

// reach asks for the health. It reports whether there is a Sluice.
func (e *examination) reach(ctx context.Context) bool {
	began := time.Now()
	a, err := e.ask(ctx, request{method: http.MethodGet, path: "/healthz"})
	if err != nil {
		advice, found := unreachable(err)
		e.fault("reach", advice, "%s: %s", e.URL, found)
		return false
	}
	e.health = healthAnswer{a, began.Add(a.elapsed / 2)}
	var health struct{ Status string }
	switch {
	case 300 <= a.StatusCode && a.StatusCode < 400:
		e.fault("reach", "Use that address: clients of Sluice do not follow redirects with their key.", "%s redirects to %s", e.URL, a.Header.Get("Location"))
		return false
	case json.Unmarshal(a.body, &health) != nil || health.Status != "ok":
		e.fault("reach", "Is the address right, and does the proxy pass on all paths below it?", "%s answers /healthz with %s%s, which is not Sluice", e.URL, a.Status, a.via())
		return false
	}
	e.fine("reach", "%s answers in %v%s", e.URL, a.elapsed.Round(time.Millisecond), a.via())
	e.secure(a.Response)
	return true
}

// unreachable says why there is no answer.
func unreachable(err error) (advice, found string) {
	var (
		dns     *net.DNSError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		plain   tls.RecordHeaderError
		wrapped *url.Error
	)
	found = err.Error()
	if errors.As(err, &wrapped) {
		found = wrapped.Err.Error()
	}
	switch {
	case errors.As(err, &dns):
		advice = "Does the name exist where this runs?"
	case errors.As(err, &unknown):
		advice = "Send the whole chain of certificates, or install the authority's where clients run."
	case errors.As(err, &name), errors.As(err, &invalid):
		advice = "Renew the certificate, for this name."
	case errors.As(err, &plain):
		advice = "Nothing speaks TLS there: use http://."
	case errors.Is(err, context.DeadlineExceeded):
		advice = "Does a firewall drop the connection?"
	default:
		advice = "Is the server up, and does --listen name an address that can be reached from here?"
	}
	return advice, found
}

// secure looks at how the connection is protected, and at its protocol.
func (e *examination) secure(r *http.Response) {
	switch state := r.TLS; {
	case state == nil && e.local():
		e.fine("tls", "without TLS, on this machine")
	case state == nil:
		e.warn("tls", "Give the server a certificate (--tls-cert), or put a proxy in front that has one.", "without TLS: everyone on the network path can read tokens and messages")
	case len(state.PeerCertificates) > 0 && time.Until(state.PeerCertificates[0].NotAfter) < expirySoon:
		e.warn("tls", "Renew the certificate; the server picks it up by itself.", "%s, and the certificate expires on %s", tls.VersionName(state.Version), state.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly))
	default:
		e.fine("tls", "%s", tls.VersionName(state.Version))
	}
	switch {
	case r.ProtoMajor >= 2:
		e.fine("protocol", "%s, which carries all streams of a page on one connection", r.Proto)
	case r.TLS != nil:
		e.warn("protocol", "Turn HTTP/2 on in the proxy if pages open several streams; the SDK shares one among subscriptions, and among tabs with shareTabs.", "%s over TLS: browsers open at most six streams to an origin, across all tabs", r.Proto)
	default:
		e.fine("protocol", "%s; browsers open at most six streams to an origin, across all tabs", r.Proto)
	}
}

// local reports whether the server is on this machine.
func (e *examination) local() bool {
	ip, err := netip.ParseAddr(e.base.Hostname())
	return err == nil && ip.IsLoopback() || e.base.Hostname() == "localhost"
}

// ready looks at whether the server takes traffic.
func (e *examination) ready(ctx context.Context) {
	a, err := e.ask(ctx, request{method: http.MethodGet, path: "/readyz"})
	switch {
	case err != nil:
		e.fault("ready", "Does the proxy pass on /readyz?", "no answer: %v", err)
	case a.StatusCode != http.StatusOK:
		e.fault("ready", "The server's log says more. While it drains, and while its engine cannot be reached, it takes no traffic.", "%s", a.problem())
	default:
		e.fine("ready", "it takes traffic")
	}
}

// clock compares the clocks here and there.
func (e *examination) clock() {
	date, err := http.ParseTime(e.health.Header.Get("Date"))
	if err != nil {
		e.skip("clock", "the answer has no date")
		return
	}
	// The header has whole seconds, so the clock is half of one later on average.
	ahead := date.Add(time.Second / 2).Sub(e.health.at).Round(time.Second)
	behind := "ahead of"
	if ahead < 0 {
		behind = "behind"
	}
	switch off := ahead.Abs(); {
	case off > leeway:
		e.fault("clock", "Synchronize both with NTP. Tokens that are signed where the clock is wrong are refused, or expire at the wrong time.", "the server's is %v %s the one here", off, behind)
	case off > clockStep:
		e.warn("clock", "Synchronize both with NTP. Expiry has no leeway.", "the server's is %v %s the one here", off, behind)
	default:
		e.fine("clock", "it agrees with the one here")
	}
}

// tokenAnswer is a token as POST /v1/tokens returns it.
type tokenAnswer struct {
	Token string `json:"token"`
	JTI   string `json:"jti"`
	URL   string `json:"url"`
}

// mint makes a token for the channel of the examination. It reports whether there is one.
func (e *examination) mint(ctx context.Context) bool {
	if e.APIKey == "" {
		e.skip("key", "no API key was given: tokens, publishing and streams were not checked")
		return false
	}
	topics := []string{"*"}
	grants := []map[string]any{{"channel": e.channel, "topics": topics}, {"channel": e.channel + "/a", "topics": topics}}
	a, err := e.askJSON(ctx, request{method: http.MethodPost, path: "/v1/tokens", bearer: e.APIKey},
		map[string]any{"sub": "sluice-doctor", "subscribe": grants, "publish": grants, "ttl": (e.Idle + time.Minute).String()})
	switch {
	case err != nil:
		e.fault("key", "Does the proxy pass on POST?", "no answer to a request for a token: %v", err)
		return false
	case a.StatusCode == http.StatusUnauthorized:
		e.fault("key", "Is it one of --api-keys, and does the proxy pass on the header Authorization?", "the API key is not accepted")
		return false
	case a.StatusCode == http.StatusForbidden:
		e.skip("key", "the API key is accepted, but may not make tokens: publishing and streams were not checked")
		return false
	case a.StatusCode != http.StatusCreated:
		e.fault("key", "The log of the server says more.", "no token: %s", a.problem())
		return false
	}
	if err := json.Unmarshal(a.body, &e.token); err != nil || e.token.Token == "" {
		e.fault("key", "Something in between answers in the server's place.", "the answer to a request for a token has none")
		return false
	}
	e.fine("key", "the API key is accepted, and makes tokens")
	return true
}

// keys looks for the key of the token among those that the server shows.
func (e *examination) keys(ctx context.Context) {
	const check, path = "keys", "/.well-known/jwks.json"
	head, _, _ := strings.Cut(e.token.Token, ".")
	var header struct{ Alg, Kid string }
	if raw, err := base64.RawURLEncoding.DecodeString(head); err != nil || json.Unmarshal(raw, &header) != nil {
		e.fault(check, "Something in between answers in the server's place.", "the token is not a JWT")
		return
	}
	if strings.HasPrefix(header.Alg, "HS") {
		e.fine(check, "tokens are signed with a secret (%s), which only the server can verify", header.Alg)
		return
	}
	a, err := e.ask(ctx, request{method: http.MethodGet, path: path})
	var set struct{ Keys []struct{ Kid string } }
	switch {
	case err != nil:
		e.fault(check, "Does the proxy pass on "+path+"?", "no answer: %v", err)
		return
	case a.StatusCode != http.StatusOK || json.Unmarshal(a.body, &set) != nil:
		e.fault(check, "Does the proxy pass on "+path+"?", "%s answers %s", path, a.Status)
		return
	}
	for _, key := range set.Keys {
		if key.Kid == header.Kid {
			e.fine(check, "%d published, and the one that signs (%s) is among them", len(set.Keys), header.Alg)
			return
		}
	}
	e.fault(check, "Do all nodes have the same --signing-keys? Is the set of keys cached in between?", "the key that signs tokens is not among the %d published ones", len(set.Keys))
}

// publicURL looks at where tokens send clients.
func (e *examination) publicURL() {
	const check = "url"
	told, err := url.Parse(e.token.URL)
	switch {
	case err != nil || e.token.URL == "":
		e.skip(check, "tokens come without an address")
	case e.socket:
		e.fine(check, "tokens send clients to %s", e.token.URL)
	case told.Scheme != e.base.Scheme || told.Host != e.base.Host || strings.TrimRight(told.Path, "/") != strings.TrimRight(e.base.Path, "/"):
		e.warn(check, "Set --public-url to where clients reach the server, or let the proxy pass on Host and X-Forwarded-Proto, and name it in --trusted-proxies.", "tokens send clients to %s", e.token.URL)
	default:
		e.fine(check, "tokens send clients to this address")
	}
}
