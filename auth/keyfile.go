package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/internal/watchedfile"
)

// LoadKeyring reads a private JWK set (RFC 7517): keys of kty OKP (Ed25519), EC
// (P-256), RSA (2048 to 8192 bits) or oct (32 bytes or more), each with an alg
// that fits. A key may have an "nbf" in Unix seconds, from which it signs. An error names
// the file and the index of the key, but quotes no key.
func LoadKeyring(path string) (*Keyring, error) {
	data, err := watchedfile.ReadAll(path)
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

// ParseKeyring is like [LoadKeyring] for the result of [Keyring.PrivateSet], for keys that
// are not in a file.
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

// WriteKeyFile writes the keys of ring to a new file, with mode 0600 if the file system has
// modes. The file appears complete or not at all. It does not touch an existing file: the
// error is [os.ErrExist], or another one if that file is empty, which a key file never is.
//
// On a file system without hard links, the file is empty for a moment first.
func WriteKeyFile(path string, ring *Keyring) error {
	temp, err := writeTemp(path, ring)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	defer func() { _ = os.Remove(temp) }()
	// Unlike a rename, a link does not replace what is there.
	if err = os.Link(temp, path); err != nil && !errors.Is(err, os.ErrExist) {
		err = renameToNew(temp, path)
	}
	if errors.Is(err, os.ErrExist) && empty(path) {
		return fmt.Errorf("auth: %s is empty: somebody writes it now, or was stopped when it was to be written; then remove it", path)
	}
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

// renameToNew has the effect of a hard link without one. Whoever creates the empty file may
// replace it: of several callers only one does, and nobody replaces a file that existed
// before. A caller that is stopped in between leaves the empty file behind.
func renameToNew(temp, path string) error {
	claim, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = claim.Close(); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func empty(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == 0
}

// RotateFile adds a random key to the file and removes the keys whose last token has
// expired. The new key signs after publishAhead; until then it is only published. It
// returns the kid of the new key. publishAhead is at least 5 s, the time in which a
// running server notices the change; maxTTL is that of the server's [Options], with the
// same default. The permissions of the file stay. Two concurrent calls on one file lose
// one of the keys.
func RotateFile(path string, alg Algorithm, publishAhead, maxTTL time.Duration) (kid string, err error) {
	if publishAhead < watchedfile.CheckInterval {
		return "", fmt.Errorf("auth: a new key is to be published at least %v before it signs", watchedfile.CheckInterval)
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
	temp, err := writeTemp(path, ring)
	if err != nil {
		return err
	}
	if err := withMode(temp, info.Mode().Perm()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// withMode sets the mode of the file unless it has it already: on file systems where all
// files have one mode, changing it is an error.
func withMode(path string, mode os.FileMode) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() == mode {
		return err
	}
	return os.Chmod(path, mode)
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
func writeTemp(path string, ring *Keyring) (name string, err error) {
	data, err := ring.PrivateSet()
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}
