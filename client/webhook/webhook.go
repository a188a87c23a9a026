// Package webhook verifies and decodes the webhooks that a Sluice server sends. It follows
// Standard Webhooks (https://www.standardwebhooks.com), and needs nothing but the standard library.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// Tolerance is how far the time of a webhook may be from now, either way.
	Tolerance = 5 * time.Minute
	// MaxBytes limits the body of a webhook.
	MaxBytes = 2 << 20
)

// Errors of Read. Answer 401 to the first one, and 400 to the other.
var (
	// ErrNotGenuine means that the request was not signed with one of the secrets, or that it
	// is too old, and somebody may be replaying it.
	ErrNotGenuine = errors.New("webhook: not genuine")
	// ErrMalformed means that a genuine request is not a webhook that this package can read.
	ErrMalformed = errors.New("webhook: malformed")
)

// Event is something that has happened.
type Event struct {
	// ID identifies the event. The event may arrive again with the same id: ignore it if you
	// have handled it.
	ID string `json:"-"`
	// Type is run.completed, run.failed, run.cancelled, channel.occupied, channel.vacated, or
	// one that a later version of the server adds.
	Type string    `json:"type"`
	At   time.Time `json:"timestamp"`
	Data Data      `json:"data"`
}

// Data holds the details of an event. Every event has a channel; only the end of a run has the
// other fields.
type Data struct {
	Channel string          `json:"channel"`
	ID      string          `json:"id"`     // of the message that ended the run
	RunID   string          `json:"run_id"` // "" if the run has none
	Status  string          `json:"status"` // completed, failed or cancelled
	Result  json.RawMessage `json:"result"` // nil if there is none
	Error   json.RawMessage `json:"error"`  // nil if there is none
	Sub     string          `json:"sub"`    // subject of the token that ended it; "" for an API key
}

// Read reads a request and verifies it with the secrets: the one in the server's webhooks file,
// or both the old and the new one while you replace it. Errors: [ErrNotGenuine], [ErrMalformed] and
// those of reading the body.
func Read(r *http.Request, secrets ...string) (*Event, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBytes))
	if err != nil {
		return nil, fmt.Errorf("webhook: reading the body: %w", err)
	}
	if err := Verify(r.Header, body, secrets...); err != nil {
		return nil, err
	}
	e := &Event{ID: r.Header.Get("Webhook-Id")}
	if err := json.Unmarshal(body, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return e, nil
}

// Verify verifies the raw bytes of a body with the headers of its request. It returns
// [ErrNotGenuine].
func Verify(header http.Header, body []byte, secrets ...string) error {
	id, stamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" {
		return fmt.Errorf("%w: without an id or a timestamp", ErrNotGenuine)
	}
	if age := time.Since(time.Unix(seconds, 0)); age.Abs() > Tolerance {
		return fmt.Errorf("%w: its time is %v away", ErrNotGenuine, age.Abs().Round(time.Second))
	}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) == 0 {
			return fmt.Errorf("%w: a secret is not whsec_ and base64", ErrNotGenuine)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, signature := range strings.Fields(header.Get("Webhook-Signature")) {
			text, ours := strings.CutPrefix(signature, "v1,")
			if given, err := base64.StdEncoding.DecodeString(text); ours && err == nil && hmac.Equal(given, want) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: no signature fits", ErrNotGenuine)
}
