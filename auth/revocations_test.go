package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
)

// A revocation that is told again keeps the end that it had.
func TestAuthority_RevokeUntil_keepsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, auth.Options{MaxRevocations: 2, MaxTTL: 24 * time.Hour})
		revoke := func(jti string, until time.Time, want error) {
			t.Helper()
			if err := a.RevokeUntil(jti, until); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", jti, err, want)
			}
		}
		minute := time.Now().Add(time.Minute)
		revoke("over", time.Now().Add(-time.Nanosecond), nil)
		if a.Revoked("over") || a.Stats().Revocations != 0 {
			t.Error("one that is over is held")
		}
		revoke("minute", minute, nil)
		revoke("hour", minute.Add(time.Hour), nil)
		revoke("hour", minute, nil) // an earlier end changes nothing
		revoke("minute", minute, nil)
		revoke("c", minute, auth.ErrTooManyRevocations)
		if _, err := a.Revocable("c"); !errors.Is(err, auth.ErrTooManyRevocations) {
			t.Errorf("revocable: %v", err)
		}
		time.Sleep(time.Minute + time.Nanosecond)
		revoke("c", time.Time{}, nil) // as long as one that comes now
		if a.Revoked("minute") || !a.Revoked("hour") || !a.Revoked("c") {
			t.Error("the wrong one was forgotten")
		}
		revoke("c", time.Now().Add(time.Nanosecond), nil)
		time.Sleep(24 * time.Hour)
		if n := a.Stats().Revocations; n != 1 || !a.Revoked("c") {
			t.Errorf("%d are held", n)
		}
		time.Sleep(time.Minute + time.Nanosecond)
		if n := a.Stats().Revocations; n != 0 {
			t.Errorf("%d are held after all tokens have expired", n)
		}
	})
}

func TestAuthority_RevokeUntil_refuses(t *testing.T) {
	a := newAuthority(t, auth.Options{})
	for _, bad := range []string{"", strings.Repeat("j", 256), "a\nb", "é"} {
		if err := a.RevokeUntil(bad, time.Time{}); !errors.Is(err, auth.ErrBadTokenID) {
			t.Errorf("%q: got %v", bad, err)
		}
		if _, err := a.Revocable(bad); !errors.Is(err, auth.ErrBadTokenID) {
			t.Errorf("%q is revocable: %v", bad, err)
		}
	}
}

// A revocation is needed until the last token of today has expired, whoever signed
// it.
func TestAuthority_Revocable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short, long := foreignFile(t, newKey(t, auth.EdDSA)), foreignFile(t, newKey(t, auth.EdDSA))
		short.MaxTTL = time.Minute
		long.Issuer, long.MaxTTL = "https://long.test", 48*time.Hour
		for _, tt := range []struct {
			issuers []auth.Issuer
			want    time.Duration
		}{
			{nil, time.Hour},
			{[]auth.Issuer{short}, time.Hour},
			{[]auth.Issuer{short, long}, 48 * time.Hour},
		} {
			a := newAuthority(t, auth.Options{MaxTTL: time.Hour, Issuers: tt.issuers})
			if until, err := a.Revocable("a"); err != nil || until.Before(time.Now().Add(tt.want)) || until.After(time.Now().Add(tt.want+time.Minute)) {
				t.Errorf("%d issuers: until %v, %v", len(tt.issuers), until, err)
			}
			if a.Revoked("a") {
				t.Error("asking revoked it")
			}
		}
	})
}

// However a token of somebody else is made, and whenever it is shown: once it was
// revoked it is never accepted again, though the revocation is forgotten.
func TestAuthority_Revoke_neverAgain(t *testing.T) {
	const maxTTL = 2 * time.Hour
	for name, claims := range map[string]func(now time.Time) object{
		"the longest life":        func(now time.Time) object { return object{"exp": now.Add(maxTTL).Unix()} },
		"a day":                   func(now time.Time) object { return object{"exp": now.Add(24 * time.Hour).Unix()} },
		"a day, without an iat":   func(now time.Time) object { return object{"iat": nil, "exp": now.Add(24 * time.Hour).Unix()} },
		"an hour, without an iat": func(time.Time) object { return object{"iat": nil} },
		"a day, used after half of it": func(now time.Time) object {
			return object{"nbf": now.Add(12 * time.Hour).Unix(), "exp": now.Add(24 * time.Hour).Unix()}
		},
		"a day, dated with exp": func(now time.Time) object {
			return object{"nbf": now.Add(23 * time.Hour).Unix(), "iat": nil, "exp": now.Add(24 * time.Hour).Unix()}
		},
		"of a clock that is ahead": func(now time.Time) object {
			return object{"iat": now.Add(30 * time.Second).Unix(), "exp": now.Add(maxTTL + time.Minute).Unix()}
		},
		"of a clock that is ahead, the longest": func(now time.Time) object {
			return object{"iat": now.Add(30 * time.Second).Unix(), "exp": now.Add(maxTTL + 30*time.Second).Unix()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKey(t, auth.EdDSA)
				issuer := foreignFile(t, k)
				issuer.MaxTTL = maxTTL
				a := newAuthority(t, auth.Options{MaxTTL: time.Hour, Issuers: []auth.Issuer{issuer}})
				token := k.token(t, k.header(t), foreignClaims().with(claims(time.Now())))
				if err := a.Revoke("token-1"); err != nil {
					t.Fatal(err)
				}
				for range 26 * 60 * 60 / 25 {
					a.Stats() // forgets
					mustRefuse(t, a, token, "")
					time.Sleep(25 * time.Second)
				}
				if a.Revoked("token-1") {
					t.Error("it is held for ever")
				}
			})
		})
	}
}

// Revocations of every size of the end pile up nowhere.
func TestAuthority_Revoke_forgetsEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, auth.Options{MaxTTL: time.Hour, Issuers: []auth.Issuer{foreignFile(t, newKey(t, auth.EdDSA))}})
		for i := range 500 {
			if err := a.RevokeUntil(fmt.Sprint(i), time.Now().Add(time.Duration(i*7919%500+1)*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 500 {
			if i%3 == 0 {
				a.Unrevoke(fmt.Sprint(i))
			}
		}
		for minute := range 501 {
			want := 0
			for i := range 500 {
				if i%3 != 0 && i*7919%500+1 >= minute {
					want++
				}
			}
			if got := a.Stats().Revocations; got != want {
				t.Fatalf("after %d minutes %d are held, want %d", minute, got, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestAuthority_Unrevoke(t *testing.T) {
	a := newAuthority(t, auth.Options{MaxRevocations: 1})
	token := mint(t, a, time.Minute)
	if err := a.Revoke(token.ID); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, a, token.Token, "revoked")
	a.Unrevoke(token.ID)
	a.Unrevoke("unknown")
	mustAccept(t, a, token.Token)
	if err := a.Revoke("other"); err != nil {
		t.Errorf("its place is taken still: %v", err)
	}
}
