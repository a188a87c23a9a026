package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/watchedfile"
)

// Keys of log lines.
const (
	logIssuer = "issuer"
	logPath   = "path"
	logIndex  = "key_index"
	logError  = "error"
)

// foreignKeys is the last good key set of a foreign issuer.
type foreignKeys struct {
	issuer Issuer
	logger *slog.Logger
	set    atomic.Pointer[keySet]

	// Owned by whoever loads: one at a time.
	digest [sha256.Size]byte // of the document that set was made from
}

func newForeignKeys(issuer Issuer, logger *slog.Logger) *foreignKeys {
	f := &foreignKeys{issuer: issuer, logger: logger.With(logIssuer, issuer.Issuer)}
	f.set.Store(&keySet{})
	return f
}

// load replaces the key set. It leaves out each unusable key; a set without a usable key
// changes nothing.
func (f *foreignKeys) load(document []byte) error {
	digest := sha256.Sum256(document)
	if digest == f.digest {
		return nil
	}
	documents, err := splitSet(document)
	if err != nil {
		return err
	}
	keys := make(map[string]*verifyingKey, len(documents))
	for i, document := range documents {
		key, err := parsePublicJWK(document, f.issuer.Algorithms)
		if err == nil && keys[key.kid] != nil {
			err = errors.New("another key has its kid")
		}
		if err != nil {
			f.logger.Warn("key of a foreign issuer left out", logIndex, i, logError, err)
			continue
		}
		keys[key.kid] = key
	}
	if len(keys) == 0 {
		return errors.New("the set has no key that can be used")
	}
	f.set.Store(&keySet{generation: f.set.Load().generation + 1, keys: keys})
	f.digest = digest
	return nil
}

// parsePublicJWK reads a key of a foreign set. It pins the key to its alg, or else to the
// first allowed algorithm that fits.
func parsePublicJWK(document json.RawMessage, allowed []Algorithm) (*verifyingKey, error) {
	o, err := parseObject(document)
	if err != nil {
		return nil, err
	}
	params, err := o.keyParameters()
	if err != nil {
		return nil, err
	}
	if err := checkUse(o, params.use, "verify"); err != nil {
		return nil, err
	}
	for _, private := range privateMembers {
		if _, published := o[private]; published {
			return nil, errors.New("its private part was published")
		}
	}
	key := &verifyingKey{kid: params.kid}
	for _, a := range allowed {
		if (params.alg == "" || params.alg == string(a)) && a.fit(params.kty, params.crv) == nil {
			key.alg = a
			break
		}
	}
	if key.alg == "" {
		return nil, fmt.Errorf("kty %.16q with alg %.16q is not allowed for this issuer", params.kty, params.alg)
	}
	if key.key, err = materialOf(o, "crv", "x", "y", "n", "e"); err != nil {
		return nil, err
	}
	if err := checkPublic(key.key); err != nil {
		return nil, err
	}
	if err := checkExponent(o["e"]); err != nil {
		return nil, err
	}
	if params.kid == "" {
		key.kid, err = thumbprint(key.key)
	}
	return key, err
}

// privateMembers are the members that a public key never has (RFC 7518, section 6; RFC
// 8037).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// fileKeys are the keys of a foreign issuer in a file.
type fileKeys struct {
	*foreignKeys
	file *watchedfile.File
}

// newFileKeys reads the file once, so that a wrong path is reported at the start.
func newFileKeys(issuer Issuer, logger *slog.Logger) (*fileKeys, error) {
	f := &fileKeys{foreignKeys: newForeignKeys(issuer, logger)}
	f.file = &watchedfile.File{Path: issuer.JWKSFile, Log: f.logger}
	if err := f.file.Read(f.load); err != nil {
		return nil, fmt.Errorf("auth: issuer %q: %w", issuer.Issuer, err)
	}
	return f, nil
}

func (f *fileKeys) current(now time.Time) *keySet {
	f.file.Poll(now, f.load)
	return f.set.Load()
}

func (f *fileKeys) renewed(context.Context) *keySet { return f.current(time.Now()) }
