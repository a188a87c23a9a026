package webhook_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client/webhook"
	"github.com/sluicehq/sluice/webhooks"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	other  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// The values are those that implementations of Standard Webhooks are tested with.
func TestVerify(t *testing.T) {
	const id, stamp, body, signature = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	for _, tt := range []struct {
		name               string
		id, body, signed   string
		after              time.Duration // since it was signed
		secrets            []string
		good, withoutStamp bool
	}{
		{name: "genuine", good: true},
		{name: "at the edge", after: webhook.Tolerance, good: true},
		{name: "among several signatures", signed: "v1,AAAA v2,x " + signature, good: true},
		{name: "the second secret", secrets: []string{other, secret}, good: true},
		{name: "another secret", secrets: []string{other}},
		{name: "no secret", secrets: []string{}},
		{name: "an empty secret", secrets: []string{"whsec_"}},
		{name: "a bad secret", secrets: []string{"whsec_?"}},
		{name: "another body", body: `{"test":2432232314}`},
		{name: "another id", id: "msg_q"},
		{name: "old", after: webhook.Tolerance + time.Second},
		{name: "from the future", after: -webhook.Tolerance - time.Second},
		{name: "no signature", signed: " "},
		{name: "another version", signed: "v2" + signature[2:]},
		{name: "cut off", signed: signature[:20]},
		{name: "no timestamp", withoutStamp: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Unix(stamp, 0).Add(tt.after)))
				h := http.Header{}
				h.Set("webhook-id", or(tt.id, id))
				if !tt.withoutStamp {
					h.Set("webhook-timestamp", strconv.Itoa(stamp))
				}
				h.Set("webhook-signature", or(tt.signed, signature))
				secrets := tt.secrets
				if secrets == nil {
					secrets = []string{secret}
				}
				err := webhook.Verify(h, []byte(or(tt.body, body)), secrets...)
				if (err == nil) != tt.good || err != nil && !errors.Is(err, webhook.ErrNotGenuine) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// What the server sends is read.
func TestRead(t *testing.T) {
	var got *webhook.Event
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if got, err = webhook.Read(r, secret); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	}))
	defer receiver.Close()
	if _, err := webhooks.Test(t.Context(), receiver.URL, secret); err != nil {
		t.Fatal(err)
	}
	if got.Type != "webhook.test" || got.Data.Channel != "test" || got.ID == "" || time.Since(got.At) > time.Minute {
		t.Errorf("got %+v", got)
	}
	if status, err := webhooks.Test(t.Context(), receiver.URL, other); status != http.StatusUnauthorized || err == nil {
		t.Errorf("another secret: %d, %v", status, err)
	}
}

func TestRead_tooLong(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", webhook.MaxBytes+1)))
	if _, err := webhook.Read(r, secret); err == nil {
		t.Error("it is read")
	}
}

// Anybody may send anything: it is refused.
func FuzzVerify(f *testing.F) {
	f.Add("id", "1614265330", "v1,AAAA", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, stamp, signature string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature}}
		if webhook.Verify(h, body, secret) == nil {
			t.Error("it is genuine")
		}
	})
}
