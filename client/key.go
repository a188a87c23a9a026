package client

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// stepKey returns the idempotency key of a step of a run: "run:", the run, ":",
// the step, both percent-encoded, so that no two pairs have one key. One that is
// too long for the server becomes a hash. The TypeScript SDK makes the same keys:
// testdata/wire/keys.json.
func stepKey(runID, stepID string) string {
	key := "run:" + encodePart(runID) + ":" + encodePart(stepID)
	if len(key) <= schemas.MaxKeyBytes {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "run:sha256:" + hex.EncodeToString(sum[:])
}

// encodePart percent-encodes every byte outside of A-Z a-z 0-9 _ . -
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
