package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
)

func mustAccept(t testing.TB, a *auth.Authority, credential string) *auth.Principal {
	t.Helper()
	p, err := a.Authenticate(t.Context(), credential)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return p
}

// mustRefuse wants ErrUnauthorized for the given cause, and a text without the
// credential or one of its parts.
func mustRefuse(t testing.TB, a *auth.Authority, credential, cause string) {
	t.Helper()
	p, err := a.Authenticate(t.Context(), credential)
	if p != nil || !errors.Is(err, auth.ErrUnauthorized) {
		t.Fatalf("got %+v, %v; want ErrUnauthorized", p, err)
	}
	if !strings.Contains(err.Error(), cause) {
		t.Fatalf("refused for %q, want a cause with %q", err, cause)
	}
	for part := range strings.SplitSeq(credential, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Fatalf("the error quotes the credential: %q", err)
		}
	}
}
