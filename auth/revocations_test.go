package auth_test

import (
	"errors"
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
		revoke("c", time.Time{}, nil)
		if a.Revoked("minute") || !a.Revoked("hour") || !a.Revoked("c") {
			t.Error("the wrong one was forgotten")
		}
		revoke("c", time.Now().Add(time.Nanosecond), nil) // never is later
		time.Sleep(2 * time.Hour)
		revoke("d", time.Time{}, nil)
		revoke("e", time.Time{}, auth.ErrTooManyRevocations)
		time.Sleep(1000 * time.Hour)
		revoke("e", time.Time{}, auth.ErrTooManyRevocations)
		if a.Revoked("hour") || !a.Revoked("c") || !a.Revoked("d") {
			t.Error("one without an end was forgotten")
		}
	})
}

// One that had an end may come again without one.
func TestAuthority_RevokeUntil_never(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, auth.Options{MaxRevocations: 1})
		for _, until := range []time.Time{time.Now().Add(time.Minute), {}} {
			if err := a.RevokeUntil("a", until); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if err := a.RevokeUntil("b", time.Time{}); !errors.Is(err, auth.ErrTooManyRevocations) || !a.Revoked("a") {
			t.Errorf("it was forgotten: %v", err)
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

// A revocation is needed until the last token of today has expired: nobody knows
// when that is if others sign tokens.
func TestAuthority_Revocable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newAuthority(t, auth.Options{MaxTTL: time.Hour})
		if until, err := own.Revocable("a"); err != nil || until.Before(time.Now().Add(time.Hour)) || until.After(time.Now().Add(time.Hour+time.Minute)) {
			t.Errorf("own tokens: until %v, %v", until, err)
		}
		if own.Revoked("a") {
			t.Error("asking revoked it")
		}
		both := newAuthority(t, auth.Options{Issuers: []auth.Issuer{foreignFile(t, newKey(t, auth.EdDSA))}})
		if until, err := both.Revocable("a"); err != nil || !until.IsZero() {
			t.Errorf("foreign tokens: until %v, %v", until, err)
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
