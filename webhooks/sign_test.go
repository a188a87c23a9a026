package webhooks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/webhooks"
)

// The values are those that implementations of Standard Webhooks are tested with.
func TestSign(t *testing.T) {
	first, err := webhooks.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	second, err := webhooks.ParseSecret(webhooks.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	got := webhooks.Sign([]webhooks.Secret{first, second}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	signatures := strings.Fields(got)
	if len(signatures) != 2 || signatures[0] != want || signatures[1] == want {
		t.Errorf("got %q, want %q and another one", got, want)
	}
}

func TestParseSecret(t *testing.T) {
	const b64 = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // 24 bytes
	for text, good := range map[string]bool{
		"whsec_" + b64:                      true,
		webhooks.NewSecret():                true,
		"":                                  false,
		b64:                                 false,
		"whsec_" + b64[:28]:                 false,
		"whsec_" + strings.Repeat("A", 84):  true,
		"whsec_" + strings.Repeat("A", 88):  false,
		"whsec_" + strings.Repeat("_", 32):  false,
		" whsec_" + b64:                     false,
		"WHSEC_" + strings.Repeat("A", 32):  false,
		"whsec_" + strings.Repeat("A", 100): false,
	} {
		parsed, err := webhooks.ParseSecret(text)
		if (err == nil) != good || err != nil && (!errors.Is(err, webhooks.ErrBadSecret) || len(text) > 10 && strings.Contains(err.Error(), text)) {
			t.Errorf("%q: %v", text, err)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", parsed, parsed, parsed, parsed); strings.Contains(shown, "31") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
}

// Secrets come from a file that people write.
func FuzzParseSecret(f *testing.F) {
	f.Add(secret)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := webhooks.ParseSecret(text)
		if (err == nil) != (len(parsed) >= 24 && len(parsed) <= 64) {
			t.Errorf("%q: %d bytes, %v", text, len(parsed), err)
		}
	})
}
