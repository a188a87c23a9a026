package auth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
)

// Whatever a careless caller logs or prints, no credential and no key is in it.
func TestSecrets_areNotPrinted(t *testing.T) {
	k, secret := newKey(t, auth.EdDSA), newKey(t, auth.HS256)
	ring := loadKeys(t, keyFile(t, k.secret(t), secret.secret(t).with(object{"nbf": 1, "kid": "named"})))
	options := auth.Options{APIKeys: []string{"hunter2-api-key"}, Keys: ring}
	token := mint(t, newAuthority(t, options), time.Minute)

	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("message", "ring", ring, "options", options, "pointer", &options, "token", token, "token_pointer", &token)
	}
	for line := range strings.Lines(out.String()) {
		if strings.Count(line, k.kid(t)) != 1 || strings.Count(line, token.ID) != 2 {
			t.Errorf("the names are not in %q", line)
		}
	}
	for _, v := range []any{ring, options, &options, token, &token} {
		fmt.Fprintf(&out, "%v %+v %s\n", v, v, v)
	}
	forbidden := append(strings.Split(token.Token, "."), "hunter2")
	for _, part := range forbidden {
		if strings.Contains(out.String(), part) {
			t.Errorf("%q is in the output", part)
		}
	}
	mustNotQuote(t, out.String(), k.secret(t), secret.secret(t))
	if bytes := fmt.Sprint(secret.private); strings.Contains(out.String(), strings.Trim(bytes, "[]")) {
		t.Error("the secret is in the output")
	}
	for _, want := range []string{token.ID, k.kid(t), "named"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output", want)
		}
	}
}
