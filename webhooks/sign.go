package webhooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of a secret, in bytes, as Standard Webhooks has them.
const (
	minSecret = 24
	maxSecret = 64

	secretPrefix = "whsec_"
	maxSecrets   = 8 // of one endpoint
)

// ErrBadSecret is returned for a text that is no secret.
var ErrBadSecret = errors.New("webhooks: bad secret")

// Secret is what an endpoint and the service have in common. It is never shown.
type Secret []byte

// NewSecret returns the text of a random secret.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// ParseSecret reads the text of a secret: whsec_ and 24 to 64 bytes in base64. It returns
// [ErrBadSecret], which does not quote the text.
func ParseSecret(text string) (Secret, error) {
	encoded, found := strings.CutPrefix(text, secretPrefix)
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(secret) < minSecret || len(secret) > maxSecret {
		return nil, fmt.Errorf("%w: want whsec_ and %d to %d bytes in base64, as sluice webhooks secret prints it", ErrBadSecret, minSecret, maxSecret)
	}
	return secret, nil
}

// String keeps secrets out of logs.
func (Secret) String() string { return "secret" }

// GoString keeps secrets out of logs.
func (Secret) GoString() string { return "secret" }

// sign returns the signatures of a message, one for each secret, as the header
// webhook-signature has them:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
func sign(secrets []Secret, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
