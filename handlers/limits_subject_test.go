package handlers_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
)

// limitOfHolders tests the limit of streams for tokens without a subject.
func (s *suite) limitOfHolders(t *testing.T) {
	const issuer = "https://issuer.example.com"
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": encode(public)}}})
	}))
	defer jwks.Close()
	srv := s.start(t, func(o *setup) {
		o.broker.MaxStreamsPerSubject = 2
		o.auth.Issuers = []auth.Issuer{{Issuer: issuer, Audience: issuer, Algorithms: []auth.Algorithm{auth.EdDSA}, JWKSURL: jwks.URL}}
	})
	foreign := func(nonce string) string {
		claims := must(json.Marshal(map[string]any{
			"iss": issuer, "aud": issuer, "exp": time.Now().Add(time.Hour).Unix(), "nonce": nonce,
			"subscribe": []any{map[string]any{"channel": "c", "topics": []string{"*"}}},
		}))
		input := encode([]byte(`{"alg":"EdDSA","typ":"at+jwt","kid":"k"}`)) + "." + encode(claims)
		return input + "." + encode(ed25519.Sign(private, []byte(input)))
	}
	minted := func(string) string {
		return decoded[struct{ Token string }](t, srv.check(t, call{method: "POST", path: "/v1/tokens", as: apiKey, body: `{"channel":"c","topics":["*"]}`, status: 201})).Token
	}
	for name, token := range map[string]func(string) string{"the short form": minted, "of an issuer, without sub and jti": foreign} {
		t.Run(name, func(t *testing.T) {
			one, other := token("1"), token("2")
			for _, as := range []string{one, one, other} {
				f := srv.open(t, call{as: as, path: "channel=c"})
				f.after("$open")
				defer f.close()
			}
			s.refused(t, srv, one, 4029, "too_many_streams", srv.broker.Head("c").String())
			for range 3 { // API keys are not counted
				f := srv.open(t, call{as: apiKey, path: "channel=c"})
				f.after("$open")
				defer f.close()
			}
		})
	}
}
