package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/watchedfile"
)

// keyFileInterval is the time between two looks at the file of named API keys. A change takes
// effect at the second look that finds the file the same, so that a file is not read while
// somebody writes it. Both together are well below the second within which a removed key must
// stop working.
const keyFileInterval = 200 * time.Millisecond

// KeyFate says what has become of a named API key since it was authenticated.
type KeyFate int32

// The fates of a named API key.
const (
	KeyUnchanged KeyFate = iota
	KeyChanged           // it is still valid, but has another name or may do something else
	KeyRemoved           // it is not valid any more
)

// namedKey is one API key of the file.
type namedKey struct {
	// Static after construction.
	hash      [sha256.Size]byte
	principal *Principal
	requests  *atomic.Uint64 // how often a key of this name was authenticated

	fate atomic.Int32 // a [KeyFate]
}

// unchanged reports whether a key of a later file is the same one and may do the same.
func (k *namedKey) unchanged(later *namedKey) bool {
	a, b := k.principal, later.principal
	return a.KeyName == b.KeyName && a.Admin == b.Admin && sameGrants(a.Publish, b.Publish) && sameGrants(a.Subscribe, b.Subscribe)
}

// namedKeys are the API keys of a file, which is read again after a change.
type namedKeys struct {
	// Static after construction.
	file   *watchedfile.File
	logger *slog.Logger
	plain  apiKeys // none of them may also be in the file

	set atomic.Pointer[map[[sha256.Size]byte]*namedKey] // the current keys; a map never changes

	mu      sync.Mutex
	changed func(id string, fate KeyFate) // guarded by mu; may be nil
}

// newNamedKeys reads the file. A nil *namedKeys has no keys.
func newNamedKeys(path string, plain apiKeys, logger *slog.Logger) (*namedKeys, error) {
	k := &namedKeys{file: &watchedfile.File{Path: path, Log: logger, Every: keyFileInterval / 2, Settles: true}, logger: logger, plain: plain}
	k.set.Store(&map[[sha256.Size]byte]*namedKey{})
	if err := k.file.Read(k.load); err != nil {
		return nil, fmt.Errorf("auth: %s: %w", path, err)
	}
	return k, nil
}

// CheckAPIKeyFile returns all faults of a file of named API keys: a YAML or JSON document with
// the list "keys", whose entries have a name, the sha256 of the key in hexadecimal, and either
// admin or grants. plain are the [Options.APIKeys]. No fault quotes a key or its hash.
func CheckAPIKeyFile(path string, plain []string) []error {
	hashes, err := hashAPIKeys(plain)
	if err != nil {
		return nil // it is a fault of the plain keys, which somebody else reports
	}
	data, err := watchedfile.ReadAll(path)
	if err != nil {
		return []error{err}
	}
	_, faults := parseNamedKeys(data, hashes)
	return faults
}

// run looks at the file until ctx ends.
func (k *namedKeys) run(ctx context.Context) {
	ticker := time.NewTicker(keyFileInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			k.file.Poll(now, k.load)
		}
	}
}

// load replaces the keys by those of a document. Only the goroutine of run calls it, after the
// first time.
func (k *namedKeys) load(document []byte) error {
	keys, faults := parseNamedKeys(document, k.plain)
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	before := *k.set.Load()
	counts := make(map[string]*atomic.Uint64, len(before))
	for _, key := range before {
		counts[key.principal.KeyName] = key.requests
	}
	set := make(map[[sha256.Size]byte]*namedKey, len(keys))
	for _, key := range keys {
		if old := before[key.hash]; old != nil && old.unchanged(key) {
			key = old
		} else if count := counts[key.principal.KeyName]; count != nil {
			key.requests = count
		}
		set[key.hash] = key
	}
	k.set.Store(&set)
	k.retire(before, set)
	return nil
}

// retire marks the keys that are not in the set any more, or may do something else, and reports
// them. The set is already in use, so whoever meets the mark finds the new keys.
func (k *namedKeys) retire(before, set map[[sha256.Size]byte]*namedKey) {
	k.mu.Lock()
	report := k.changed
	k.mu.Unlock()
	for hash, old := range before {
		fate := KeyRemoved
		switch now := set[hash]; {
		case now == old:
			continue
		case now != nil:
			fate = KeyChanged
		}
		old.fate.Store(int32(fate))
		if report != nil {
			report(old.principal.KeyID, fate)
		}
	}
	if len(before) > 0 {
		k.logger.Info("API keys read again", slog.String(logPath, k.file.Path), slog.Any("keys", namesOf(set)))
	}
}

// namesOf returns the names of the keys, sorted.
func namesOf(set map[[sha256.Size]byte]*namedKey) []string {
	names := make([]string, 0, len(set))
	for key := range maps.Values(set) {
		names = append(names, key.principal.KeyName)
	}
	slices.Sort(names)
	return names
}

// find returns the key with the given hash, nil if there is none. The duration of a look-up
// tells nothing about the keys: who does not know a key cannot choose the beginning of a hash.
func (k *namedKeys) find(hash [sha256.Size]byte) *namedKey {
	if k == nil {
		return nil
	}
	return (*k.set.Load())[hash]
}

// requests returns how often the keys of each name were authenticated.
func (k *namedKeys) requests() map[string]uint64 {
	if k == nil {
		return nil
	}
	all := make(map[string]uint64)
	for _, key := range *k.set.Load() {
		all[key.principal.KeyName] = key.requests.Load()
	}
	return all
}

// OnKeyChange sets the function that is called with the [Principal.KeyID] of each named API key
// that was removed from the file or changed in it, once the new keys are in use. It must not
// wait.
func (a *Authority) OnKeyChange(f func(id string, fate KeyFate)) {
	if a.named == nil {
		return
	}
	a.named.mu.Lock()
	defer a.named.mu.Unlock()
	a.named.changed = f
}

// Current returns what the holder of a named API key may do by now, and p for any other
// principal. The error is [ErrUnauthorized] if the key was removed.
func (a *Authority) Current(p *Principal) (*Principal, error) {
	switch p.KeyFate() {
	case KeyUnchanged:
		return p, nil
	case KeyChanged:
		if key := a.named.find(p.key.hash); key != nil {
			return key.principal, nil
		}
	case KeyRemoved:
	}
	return nil, unauthorized(errors.New("the API key was removed"))
}
