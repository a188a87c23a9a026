package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

func TestAuthority_Mint_roundTrip(t *testing.T) {
	for _, alg := range auth.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			ring, err := auth.GenerateKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			a := newAuthority(t, auth.Options{Keys: ring, Issuer: "me", Audience: "you"})
			req := auth.TokenRequest{
				Subject:   "user <7> & é",
				Subscribe: schemas.Grants{{Channel: "pipeline:*", Topics: []string{"status", "$run"}}},
				Publish:   schemas.Grants{{Channel: "a/b", Topics: []string{"*"}}, {Channel: "ü", Topics: []string{"x"}}},
				TTL:       time.Minute,
			}
			token, err := a.Mint(req)
			if err != nil {
				t.Fatal(err)
			}
			want := &auth.Principal{
				Subject: req.Subject, TokenID: token.ID, Issuer: "me", ExpiresAt: token.ExpiresAt,
				Subscribe: req.Subscribe, Publish: req.Publish,
			}
			for _, where := range []string{"verified", "from the cache"} {
				if p := mustAccept(t, a, token.Token); !reflect.DeepEqual(p, want) {
					t.Errorf("%s: got %+v, want %+v", where, p, want)
				}
			}
			if s := a.Stats(); s.CacheHits != 1 || s.CacheMisses != 1 || s.VerificationsOK != 1 || s.CacheEntries != 1 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestAuthority_Mint_wire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(300 * time.Millisecond) // off the full second
		k := newKey(t, auth.EdDSA)
		a := authorityOf(t, k.secret(t))
		start := time.Now()
		token := mint(t, a, time.Second)
		parts := strings.Split(token.Token, ".")
		var header, claims map[string]any
		for i, v := range []*map[string]any{&header, &claims} {
			b, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, v); err != nil {
				t.Fatal(err)
			}
		}
		if want := map[string]any{"alg": "EdDSA", "kid": k.kid(t), "typ": "at+jwt"}; !reflect.DeepEqual(header, want) {
			t.Errorf("header: got %v, want %v", header, want)
		}
		want := map[string]any{
			"iss": "sluice", "aud": "sluice", "sub": "user-7", "jti": token.ID,
			"iat": float64(start.Unix()), "exp": float64(start.Unix() + 2),
			"subscribe": []any{map[string]any{"channel": "*", "topics": []any{"*"}}},
		}
		if !reflect.DeepEqual(claims, want) {
			t.Errorf("claims: got %v, want %v", claims, want)
		}
		if token.ExpiresAt.Unix() != start.Unix()+2 || mint(t, a, time.Second).ID == token.ID {
			t.Errorf("got %+v", token)
		}
	})
}

func TestAuthority_Mint_refuses(t *testing.T) {
	a := newAuthority(t, auth.Options{MaxTTL: time.Hour})
	all := schemas.AllowAll()
	var tooMany, tooLong schemas.Grants
	for i := range 257 {
		tooMany = append(tooMany, schemas.Grant{Channel: "c", Topics: []string{"t"}})
		if i < 100 {
			tooLong = append(tooLong, schemas.Grant{Channel: schemas.Pattern(fmt.Sprint(strings.Repeat("c", 200), i)), Topics: []string{"t"}})
		}
	}
	tests := []struct {
		name string
		req  auth.TokenRequest
		want error
	}{
		{"ttl too short", auth.TokenRequest{Subscribe: all, TTL: time.Second - 1}, auth.ErrBadTTL},
		{"ttl negative", auth.TokenRequest{Subscribe: all, TTL: -time.Second}, auth.ErrBadTTL},
		{"ttl too long", auth.TokenRequest{Subscribe: all, TTL: time.Hour + 1}, auth.ErrBadTTL},
		{"ttl longest", auth.TokenRequest{Subscribe: all, TTL: time.Hour}, nil},
		{"no grant", auth.TokenRequest{Subject: "x"}, auth.ErrNoGrant},
		{"bad subscribe", auth.TokenRequest{Subscribe: schemas.Grants{{Channel: "user:1*", Topics: []string{"*"}}}}, schemas.ErrBadGrant},
		{"bad publish", auth.TokenRequest{Subscribe: all, Publish: schemas.Grants{{Channel: "c"}}}, schemas.ErrBadGrant},
		{"too many grants", auth.TokenRequest{Publish: tooMany}, schemas.ErrBadGrant},
		{"too many topics", auth.TokenRequest{Publish: schemas.Grants{{Channel: "c", Topics: make([]string, 257)}}}, schemas.ErrBadGrant},
		{"too long to be accepted", auth.TokenRequest{Publish: tooLong}, schemas.ErrBadGrant},
		{"subject too long", auth.TokenRequest{Subscribe: all, Subject: strings.Repeat("s", 256)}, auth.ErrBadSubject},
		{"subject not UTF-8", auth.TokenRequest{Subscribe: all, Subject: "\xff"}, auth.ErrBadSubject},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := a.Mint(tt.req)
			if !errors.Is(err, tt.want) || (err != nil) != (token.Token == "") {
				t.Errorf("got %v, %v; want %v", token, err, tt.want)
			}
		})
	}
}

func TestAuthority_Mint_defaultTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for maxTTL, want := range map[time.Duration]time.Duration{0: 10 * time.Minute, time.Minute: time.Minute} {
			a := newAuthority(t, auth.Options{MaxTTL: maxTTL})
			if got := time.Until(mint(t, a, 0).ExpiresAt); got != want {
				t.Errorf("maximum %v: got %v, want %v", maxTTL, got, want)
			}
		}
	})
}

func TestNew_reportsAllFaults(t *testing.T) {
	_, err := auth.New(auth.Options{
		APIKeys: []string{"good", "", "with blank"}, MaxTTL: time.Millisecond, MaxRevocations: -1,
		Issuers: []auth.Issuer{{Issuer: "sluice"}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"API key 1", "API key 2", "maximal ttl", "revocations", "no signing keys", "is this server itself", "audience is missing"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	if strings.Contains(err.Error(), "with blank") {
		t.Error("the error quotes a key")
	}
}
