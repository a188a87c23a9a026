package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
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

// find returns the index of the key with the hash, -1 if there is none. It compares with every
// key, so that its duration reveals nothing about any of them, nor which one matched.
func (k apiKeys) find(hash [sha256.Size]byte) int {
	found := -1
	for i := range k {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(k[i][:], hash[:]), i, found)
	}
	return found
}

// admins returns the principals of the keys, which may do everything.
func (k apiKeys) admins() []*Principal {
	all := make([]*Principal, len(k))
	for i := range k {
		all[i] = &Principal{Admin: true, KeyID: keyID(k[i]), Subscribe: schemas.AllowAll(), Publish: schemas.AllowAll()}
	}
	return all
}

// keyID returns what stands for a key where its name could change, or it has none.
func keyID(hash [sha256.Size]byte) string { return string(hash[:16]) }
