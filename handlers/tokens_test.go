package handlers_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
)

// minted is the answer to POST /v1/tokens.
type minted struct {
	Token        string    `json:"token"`
	TokenType    string    `json:"token_type"`
	ID           string    `json:"jti"`
	ExpiresAt    time.Time `json:"expires_at"`
	URL          string    `json:"url"`
	SubscribeURL string    `json:"subscribe_url"`
}

func (s *suite) tokens(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.auth.MaxRevocations = 2 })
	s.tokensMade(t, srv)
	s.tokenAddresses(t)
	post := func(name, body string, status int, problem string, fields ...string) call {
		return call{name: name, method: "POST", path: "/v1/tokens", as: apiKey, body: body, status: status, problem: problem, fields: fields}
	}
	bad := func(name, body string, fields ...string) call { return post(name, body, 400, "malformed", fields...) }
	grants := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(`{"channel":"c","topics":["t"]},`, n), ",")
	}
	form := post("a form", `channel=c`, 400, "malformed")
	form.header = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	other := post("another type", `{"channel":"c","topics":["*"]}`, 415, "unsupported-media-type")
	other.header = map[string]string{"Content-Type": "text/plain"}
	srv.run(t, []call{
		bad("nothing", ""), bad("not JSON", "{"), bad("null", "null"), bad("an array", "[]"), bad("no grant", `{"ttl":"1m"}`), bad("empty lists", `{"subscribe":[],"publish":[]}`),
		bad("no channel", `{"topics":["t"]}`), bad("empty topics", `{"channel":"c","topics":[]}`),
		bad("a bad channel", `{"channel":"$c","topics":["t"]}`), bad("a bad topic", `{"channel":"c","topics":["open"]}`), bad("a star inside", `{"channel":"a*","topics":["t"]}`),
		bad("both forms", `{"channel":"c","topics":["t"],"subscribe":[`+grants(1)+`]}`, "/channel"),
		bad("bad grants", `{"subscribe":[`+grants(1)+`,{"channel":"c"}],"publish":[{"channel":"","topics":["t"]}]}`, "/subscribe/1", "/publish/0"),
		bad("unknown members", `{"channel":"c","topics":["t"],"scope":"x","TTL":"1m"}`, "/scope", "/TTL"),
		bad("unknown members of a grant", `{"subscribe":[{"channel":"c","Topics":["t"]}],"publish":[{"channel":"c","topics":["t"],"topics":["*"]}]}`, "/subscribe/0/Topics", "/publish/0/topics"),
		bad("a number as ttl", `{"channel":"c","topics":["t"],"ttl":60}`, "/ttl"), bad("an unreadable ttl", `{"channel":"c","topics":["t"],"ttl":"1 day"}`, "/ttl"),
		bad("no ttl at all", `{"channel":"c","topics":["t"],"ttl":"0s"}`, "/ttl"),
		bad("too short a ttl", `{"channel":"c","topics":["t"],"ttl":"999ms"}`), bad("too long a ttl", `{"channel":"c","topics":["t"],"ttl":"24h1s"}`), bad("a negative ttl", `{"channel":"c","topics":["t"],"ttl":"-1m"}`),
		bad("a long subject", `{"sub":"`+strings.Repeat("s", 256)+`","channel":"c","topics":["t"]}`),
		bad("too many grants", `{"subscribe":[`+grants(257)+`]}`),
		form, other,
		post("too large", strings.Repeat(" ", 2*maxEvent)+"{}", 413, "too-large"),
		{name: "by a token", method: "POST", path: "/v1/tokens", as: srv.token("*", "*"), body: `{"channel":"c","topics":["t"]}`, status: 403, problem: "forbidden"},
		{name: "revoke a bad id", method: "DELETE", path: "/v1/tokens/a%0A", as: apiKey, status: 400, problem: "malformed"},
		{name: "revoke a long id", method: "DELETE", path: "/v1/tokens/" + strings.Repeat("a", 256), as: apiKey, status: 400, problem: "malformed"},
		{name: "revoke an escaped id", method: "DELETE", path: "/v1/tokens/a%2Fb", as: apiKey, status: 204},
		{name: "revoke another", method: "DELETE", path: "/v1/tokens/c", as: apiKey, status: 204},
		{name: "revoke again", method: "DELETE", path: "/v1/tokens/c", as: apiKey, status: 204},
		{name: "too many revocations", method: "DELETE", path: "/v1/tokens/d", as: apiKey, status: 429, problem: "rate-limited"},
	})
	keys := decoded[struct{ Keys []map[string]string }](t, srv.check(t, call{
		method: "GET", path: "/.well-known/jwks.json", status: 200,
		sets: map[string]string{"Cache-Control": "public, max-age=60", "Content-Type": "application/jwk-set+json"},
	})).Keys
	if len(keys) != 1 || keys[0]["alg"] != "EdDSA" || keys[0]["use"] != "sig" || keys[0]["kid"] == "" || keys[0]["d"] != "" {
		t.Errorf("keys %v", keys)
	}
}

// tokenAddresses tests the addresses in the answer: the configured one, or else the one at which
// the request arrived, as reported by a trusted proxy.
func (s *suite) tokenAddresses(t *testing.T) {
	forwarded := map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "sluice.example.com:8443"}
	for _, tt := range []struct {
		name, public, trusted string
		header                map[string]string
		want                  string // "": where the server listens
	}{
		{name: "nothing is said"},
		{name: "a header of anybody", header: forwarded},
		{name: "a header of anybody beside a proxy", trusted: "10.0.0.0/8", header: forwarded},
		{name: "a header of a proxy", trusted: "127.0.0.0/8", header: forwarded, want: "https://sluice.example.com:8443"},
		{name: "a chain of proxies", trusted: "127.0.0.0/8", header: map[string]string{"X-Forwarded-Proto": "HTTPS , http", "X-Forwarded-Host": "a.example, b.example"}, want: "https://a.example"},
		{name: "no scheme and no host", trusted: "127.0.0.0/8", header: map[string]string{"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "a.example/x?y#"}},
		{name: "a user", trusted: "127.0.0.0/8", header: map[string]string{"X-Forwarded-Host": "u:p@a.example"}},
		{name: "headers that echo knows", trusted: "127.0.0.0/8", header: map[string]string{"X-Url-Scheme": "https", "X-Forwarded-Ssl": "on"}},
		{name: "configured", public: "https://example.com/sluice", want: "https://example.com/sluice"},
		{name: "configured, and a proxy says something else", public: "https://example.com", trusted: "127.0.0.0/8", header: forwarded, want: "https://example.com"},
	} {
		srv := s.start(t, func(o *setup) {
			o.handlers.PublicURL = tt.public
			if tt.trusted != "" {
				o.handlers.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(tt.trusted)}
			}
		})
		if tt.want == "" {
			tt.want = srv.url
		}
		m := decoded[minted](t, srv.check(t, call{method: "POST", path: "/v1/tokens", as: apiKey, header: tt.header, body: `{"channel":"a:b","topics":["t"]}`, status: 201}))
		if want := tt.want + "/v1/subscribe?access_token=" + m.Token + "&channel=a%3Ab"; m.URL != tt.want || m.SubscribeURL != want {
			t.Errorf("%s: %s and %s, want %s", tt.name, m.URL, m.SubscribeURL, want)
		}
	}
}

// tokensMade issues tokens and uses them.
func (s *suite) tokensMade(t *testing.T, srv *server) {
	for _, tt := range []struct {
		name, body, subscribe, publish, channels string
		ttl                                      time.Duration
	}{
		{"short", `{"channel":"pipeline:run_42","topics":["status","tokens"]}`, `[{"channel":"pipeline:run_42","topics":["status","tokens"]}]`, "", "pipeline:run_42", auth.DefaultTTL},
		{"short without topics", `{"channel":"a"}`, `[{"channel":"a","topics":["*"]}]`, "", "a", auth.DefaultTTL},
		{"short with null as topics", `{"channel":"a","topics":null}`, `[{"channel":"a","topics":["*"]}]`, "", "a", auth.DefaultTTL},
		{"short with a pattern", `{"channel":"a:*","topics":["*"],"ttl":"1s"}`, `[{"channel":"a:*","topics":["*"]}]`, "", "a:*", time.Second},
		{
			"long", `{"sub":"user-7","subscribe":[{"channel":"a","topics":["*"]},{"channel":"b/é","topics":["t"]}],"publish":[{"channel":"a","topics":["$run","t"]}],"ttl":"24h"}`,
			`[{"channel":"a","topics":["*"]},{"channel":"b/é","topics":["t"]}]`, `[{"channel":"a","topics":["$run","t"]}]`, "a b/é", 24 * time.Hour,
		},
		{"publish only", `{"publish":[{"channel":"a","topics":["t"]}],"ttl":"1h30m"}`, "", `[{"channel":"a","topics":["t"]}]`, "", 90 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := time.Now()
			m := decoded[minted](t, srv.check(t, call{method: "POST", path: "/v1/tokens", as: apiKey, body: tt.body, status: 201, sets: map[string]string{"Cache-Control": "no-store"}}))
			var claims struct {
				Iss, Aud, Sub, JTI string
				Iat, Exp           int64
				Subscribe, Publish json.RawMessage
			}
			if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(strings.Split(m.Token, ".")[1])), &claims); err != nil {
				t.Fatal(err)
			}
			if m.TokenType != "Bearer" || m.ID == "" || m.ID != claims.JTI || m.ExpiresAt.Unix() != claims.Exp || string(claims.Subscribe) != tt.subscribe || string(claims.Publish) != tt.publish {
				t.Errorf("token %+v of %+v", claims, m)
			}
			if early, late := before.Add(tt.ttl), time.Now().Add(tt.ttl+time.Second); m.ExpiresAt.Before(early.Truncate(time.Second)) || m.ExpiresAt.After(late) {
				t.Errorf("it expires at %v, not %v from %v", m.ExpiresAt, tt.ttl, before)
			}
			u := must(url.Parse(m.SubscribeURL))
			if u.Scheme+"://"+u.Host != srv.url || u.Path != "/v1/subscribe" || u.Query().Get("access_token") != m.Token || strings.Join(u.Query()["channel"], " ") != tt.channels {
				t.Errorf("address %s", m.SubscribeURL)
			}
			if tt.subscribe == "" {
				srv.check(t, call{method: "POST", path: "/v1/publish/a/t", as: m.Token, body: "1", status: 201})
				return
			}
			feed := srv.open(t, call{path: u.RawQuery})
			if open := control[opened](feed, "$open"); fmt.Sprint(open.Channels) != "["+tt.channels+"]" {
				t.Errorf("$open says %+v", open)
			}
			feed.close()
		})
	}
}

// If a request has very many bad grants, the answer lists only the first few.
func TestMintToken_manyFaults(t *testing.T) {
	srv := start(t)
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 10_000), ",") + "]"
	a := srv.send(t, call{method: "POST", path: "/v1/tokens", as: apiKey, body: `{"subscribe":` + list + `,"publish":` + list + `}`, header: map[string]string{"Content-Type": "application/json"}})
	if n := strings.Count(a.body, `"pointer"`); a.status != 400 || n != 64 {
		t.Errorf("%d: %d faults in %d bytes", a.status, n, len(a.body))
	}
}
