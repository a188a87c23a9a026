package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// maxFileBytes bounds the files that this package reads.
const maxFileBytes = 1 << 20

// LoadKeyring reads a private JWK set (RFC 7517): keys of kty OKP (Ed25519), EC
// (P-256), RSA (2048 to 8192 bits) or oct (32 bytes or more), each with an alg
// that fits. A key may have an "nbf" in Unix seconds, from when it signs. An
// error names the file and the index of the key, and quotes no key.
func LoadKeyring(path string) (*Keyring, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	ring, err := parseKeyring(path, data)
	if err != nil {
		return nil, err
	}
	ring.path = path
	return ring, nil
}

// ParseKeyring is [LoadKeyring] for what [Keyring.PrivateSet] returned: for keys
// that are kept elsewhere than in a file.
func ParseKeyring(data []byte) (*Keyring, error) { return parseKeyring("the kept keys", data) }

// parseKeyring reads a private JWK set; its errors name where it stood.
func parseKeyring(place string, data []byte) (*Keyring, error) {
	documents, err := splitSet(data)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", place, err)
	}
	keys := make([]*signingKey, len(documents))
	kids := make(map[string]int)
	for i, document := range documents {
		key, err := parsePrivateJWK(document)
		if err != nil {
			return nil, fmt.Errorf("auth: %s: key %d: %w", place, i, err)
		}
		if other, twice := kids[key.kid]; twice {
			return nil, fmt.Errorf("auth: %s: key %d: it has the kid of key %d", place, i, other)
		}
		kids[key.kid] = i
		keys[i] = key
	}
	ring, err := newKeyring(keys)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", place, err)
	}
	return ring, nil
}

// splitSet returns the keys of a JWK set, unread.
func splitSet(data []byte) ([]json.RawMessage, error) {
	set, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	documents, err := list(set["keys"])
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return documents, nil
}

// WriteKeyFile writes the keys of ring to a new file with mode 0600. The file
// appears whole or not at all; one that is there already is left alone and the
// error is [os.ErrExist].
func WriteKeyFile(path string, ring *Keyring) error {
	temp, err := writeTemp(path, ring, 0o600)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	defer func() { _ = os.Remove(temp) }()
	// Unlike a rename, a link does not replace what is there.
	if err := os.Link(temp, path); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

// RotateFile adds a random key to the file, which signs publishAhead from now
// and is published until then, and drops the keys whose last token has expired.
// It returns the kid of the new key. publishAhead is 5 s or more, the time in
// which a running server sees the file; maxTTL is that of the server's
// [Options], with the same default. The file's permissions stay. Two calls at
// once on one file lose one of the keys.
func RotateFile(path string, alg Algorithm, publishAhead, maxTTL time.Duration) (kid string, err error) {
	if publishAhead < fileCheckInterval {
		return "", fmt.Errorf("auth: a new key is to be published at least %v before it signs", fileCheckInterval)
	}
	if maxTTL <= 0 {
		maxTTL = DefaultMaxTTL
	}
	// A rename must replace the file, not a link to it.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	ring, err := LoadKeyring(path)
	if err != nil {
		return "", err
	}
	now := time.Now()
	key, err := generate(alg, now.Add(publishAhead))
	if err != nil {
		return "", err
	}
	rotated, err := newKeyring(append(ring.live(now, maxTTL), key))
	if err != nil {
		return "", fmt.Errorf("auth: %s: %w", path, err)
	}
	if err := replaceFile(path, rotated); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	return key.kid, nil
}

func replaceFile(path string, ring *Keyring) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temp, err := writeTemp(path, ring, info.Mode().Perm())
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// PrivateSet returns the keys as a private JWK set, as [WriteKeyFile] writes it,
// for [ParseKeyring]. Whoever reads it can sign tokens.
func (r *Keyring) PrivateSet() ([]byte, error) {
	documents := make([]json.RawMessage, len(r.keys))
	for i, key := range r.keys {
		documents[i] = key.document
	}
	data, err := json.MarshalIndent(map[string]any{"keys": documents}, "", "  ")
	return append(data, '\n'), err
}

// writeTemp writes the keys to a file beside path and returns its name.
func writeTemp(path string, ring *Keyring, mode os.FileMode) (name string, err error) {
	data, err := ring.PrivateSet()
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}
