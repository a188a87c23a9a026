package auth_test

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

func TestAuthority_cachedTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, auth.Options{})
		token := mint(t, a, time.Minute)
		mustAccept(t, a, token.Token)
		time.Sleep(time.Until(token.ExpiresAt) - 1)
		mustAccept(t, a, token.Token)
		if got := a.Stats().CacheHits; got != 1 {
			t.Fatalf("%d hits", got)
		}
		time.Sleep(time.Nanosecond)
		mustRefuse(t, a, token.Token, "expired")
	})
}

func TestAuthority_cachedTokenRevoked(t *testing.T) {
	a := newAuthority(t, auth.Options{})
	token, other := mint(t, a, time.Minute), mint(t, a, time.Minute)
	mustAccept(t, a, token.Token)
	if a.Revoked(token.ID) {
		t.Error("revoked from the start")
	}
	if err := a.Revoke(token.ID); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, a, token.Token, "revoked")
	mustAccept(t, a, other.Token)
	if !a.Revoked(token.ID) || a.Revoked(other.ID) || a.Stats().Revocations != 1 {
		t.Error("the wrong token is revoked")
	}
}

// A caller that changes what it was given harms nobody else.
func TestAuthority_cachedTokenIsACopy(t *testing.T) {
	a := newAuthority(t, auth.Options{})
	token := mint(t, a, time.Minute)
	for range 3 {
		p := mustAccept(t, a, token.Token)
		if !reflect.DeepEqual(p.Subscribe, schemas.AllowAll()) {
			t.Fatalf("got %+v", p)
		}
		p.Subscribe[0].Topics[0] = "changed"
	}
}

// Many tokens through a small cache: what is lost is verified again.
func TestAuthority_cacheOverflow(t *testing.T) {
	a := newAuthority(t, auth.Options{CacheBytes: 1})
	var tokens []string
	for i := range 1500 {
		token, err := a.Mint(auth.TokenRequest{Publish: schemas.Grants{{
			Channel: schemas.Pattern(fmt.Sprint("run:", i)), Topics: slices.Repeat([]string{strings.Repeat("t", 64)}, 12),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token.Token)
	}
	for range 2 {
		for i, token := range tokens {
			if p := mustAccept(t, a, token); p.Publish[0].Channel != schemas.Pattern(fmt.Sprint("run:", i)) {
				t.Fatalf("token %d got the grants of another: %+v", i, p)
			}
		}
	}
	mustAccept(t, a, tokens[len(tokens)-1])
	if s := a.Stats(); s.CacheHits+s.CacheMisses != 3001 || s.CacheHits == 0 {
		t.Errorf("got %+v", s)
	}
	if s := a.Stats(); s.CacheEvictions == 0 || s.CacheEntries == 0 || s.CacheEntries == len(tokens) {
		t.Errorf("nothing was evicted: %+v", s)
	}
}

func TestAuthority_withoutCache(t *testing.T) {
	a := newAuthority(t, auth.Options{CacheBytes: -1})
	token := mint(t, a, time.Minute)
	mustAccept(t, a, token.Token)
	mustAccept(t, a, token.Token)
	if s := a.Stats(); s.VerificationsOK != 2 || s.CacheEntries != 0 || s.CacheHits != 0 {
		t.Errorf("got %+v", s)
	}
}

// The default of the cache library would take some 300 MB when empty.
func TestNew_emptyCacheIsSmall(t *testing.T) {
	ring, err := auth.NewKeyring()
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a := newAuthority(t, auth.Options{Keys: ring})
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("an authority with an empty cache takes %d KiB", grown>>10)
	if grown > 2<<20 {
		t.Errorf("it takes more than 2 MiB")
	}
	runtime.KeepAlive(a)
}

func TestAuthority_Revoke_refuses(t *testing.T) {
	a := newAuthority(t, auth.Options{})
	for _, bad := range []string{"", strings.Repeat("j", 256), "a\nb", "é", "\x7f"} {
		if err := a.Revoke(bad); !errors.Is(err, auth.ErrBadTokenID) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	if err := a.Revoke(strings.Repeat("j", 255)); err != nil {
		t.Error(err)
	}
}

func TestAuthority_Revoke_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxTTL = time.Hour
		a := newAuthority(t, auth.Options{MaxRevocations: 2, MaxTTL: maxTTL})
		revoke := func(jti string, want error) {
			t.Helper()
			if err := a.Revoke(jti); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", jti, err, want)
			}
		}
		revoke("a", nil)
		time.Sleep(time.Minute)
		revoke("b", nil)
		revoke("c", auth.ErrTooManyRevocations)
		revoke("b", nil) // held already
		if !a.Revoked("a") || !a.Revoked("b") || a.Revoked("c") {
			t.Error("one was dropped for another")
		}
		time.Sleep(maxTTL) // the last token of that time may still hold, its issuer's clock being ahead
		revoke("c", auth.ErrTooManyRevocations)
		time.Sleep(time.Nanosecond)
		revoke("c", nil)
		if a.Revoked("a") || !a.Revoked("b") || !a.Revoked("c") {
			t.Error("the wrong one was forgotten")
		}
	})
}
