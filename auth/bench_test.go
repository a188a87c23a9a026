package auth_test

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// What a reconnect costs: with the signature, with the cache, and as an API key.
// The ratio of the first two is why there is a cache.
func BenchmarkAuthority_Authenticate(b *testing.B) {
	for _, alg := range []auth.Algorithm{auth.EdDSA, auth.ES256, auth.RS256, auth.HS256} {
		ring, err := auth.GenerateKey(alg)
		if err != nil {
			b.Fatal(err)
		}
		cold := benchmarkToken(b, string(alg)+"/cold", auth.Options{Keys: ring, CacheBytes: -1})
		cached := benchmarkToken(b, string(alg)+"/cached", auth.Options{Keys: ring})
		if cold > 0 && cached > 0 {
			b.Logf("%s: cold/cached = %.1f", alg, float64(cold)/float64(cached))
		}
	}
	b.Run("api_key", func(b *testing.B) {
		a := newAuthority(b, auth.Options{APIKeys: []string{"first-key", "second-key", "third-key"}})
		authenticate(b, a, "third-key")
	})
}

func benchmarkToken(b *testing.B, name string, o auth.Options) (perOp time.Duration) {
	b.Run(name, func(b *testing.B) {
		a := newAuthority(b, o)
		token, err := a.Mint(auth.TokenRequest{
			Subject:   "user-7",
			Subscribe: schemas.Grants{{Channel: "pipeline:run_42", Topics: []string{"status", "tokens"}}},
			Publish:   schemas.Grants{{Channel: "pipeline:run_42", Topics: []string{"approval"}}},
			TTL:       time.Hour,
		})
		if err != nil {
			b.Fatal(err)
		}
		mustAccept(b, a, token.Token)
		authenticate(b, a, token.Token)
		perOp = b.Elapsed() / time.Duration(b.N)
	})
	return perOp
}

func authenticate(b *testing.B, a *auth.Authority, credential string) {
	b.ReportAllocs()
	ctx := b.Context()
	for b.Loop() {
		if _, err := a.Authenticate(ctx, credential); err != nil {
			b.Fatal(err)
		}
	}
}
