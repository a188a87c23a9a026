package client

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// stepKey returns the idempotency key of a step of a run: run:RUN:STEP, with both ids
// percent-encoded, so that different pairs have different keys. A key that is too long for the
// server becomes a hash. The TypeScript SDK makes the same keys, see testdata/wire/keys.json.
func stepKey(runID, stepID string) string {
	key := "run:" + encodePart(runID) + ":" + encodePart(stepID)
	if len(key) <= schemas.MaxKeyBytes {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "run:sha256:" + hex.EncodeToString(sum[:])
}

// hashedBytes is how much of a hash is in a stream id: 32 characters of base64.
const hashedBytes = 24

// stepStreamID returns the stream id of the text of a step of a run: RUN:STEP if both consist of
// A-Z a-z 0-9 _ . - and that has at most 64 characters. Otherwise it is h: and the first 24 bytes of
// the SHA-256 of RUN, a line feed and STEP, in base64url without padding. A run's id has no line
// feed, so different pairs have different ids. The TypeScript SDK makes the same ones, see
// testdata/wire/text-ids.json.
func stepStreamID(runID, stepID string) string {
	id := runID + ":" + stepID
	if len(id) <= schemas.MaxStreamIDBytes && encodePart(runID) == runID && encodePart(stepID) == stepID {
		return id
	}
	sum := sha256.Sum256([]byte(runID + "\n" + stepID))
	return "h:" + base64.RawURLEncoding.EncodeToString(sum[:hashedBytes])
}

// encodePart percent-encodes every byte except A-Z a-z 0-9 _ . -
func encodePart(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
