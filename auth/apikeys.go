package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// maxAPIKeyBytes is far more than a key needs, and far less than a header can hold.
const maxAPIKeyBytes = 1024

// apiKeys are the hashes of the API keys.
type apiKeys [][sha256.Size]byte

// hashAPIKeys refuses keys that no Authorization header could carry. It names
// them by index.
func hashAPIKeys(keys []string) (apiKeys, error) {
	hashes := make(apiKeys, len(keys))
	var faults []error
	for i, key := range keys {
		if !headerSafe(key) {
			faults = append(faults, fmt.Errorf("auth: API key %d is not 1 to %d printable ASCII characters without spaces", i, maxAPIKeyBytes))
		}
		hashes[i] = sha256.Sum256([]byte(key))
	}
	return hashes, errors.Join(faults...)
}

func headerSafe(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return key != "" && len(key) <= maxAPIKeyBytes
}

// has compares with every key, so that its duration reveals nothing about any of them, nor
// which one matched.
func (k apiKeys) has(hash [sha256.Size]byte) bool {
	found := 0
	for i := range k {
		found |= subtle.ConstantTimeCompare(k[i][:], hash[:])
	}
	return found == 1
}
